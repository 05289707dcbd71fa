// SPDX-License-Identifier: Apache-2.0

import Devices
import GuestMemory
import Host
import Storage

/// The requests of a block device between its virtqueues and its engine: the state that the device's lock protects.
///
/// The interrupt is told under that lock, so that no notification can come after a reset.
struct BlockRequestQueue: ~Copyable {
    /// What lets work go on that had to stop in the middle.
    struct Wakers {
        /// A virtqueue had its turn, others go first.
        let continuation: EventFD
        /// The rate limit allows the next request.
        let throttle: TimerFD
    }

    /// What there is between `DRIVER_OK` and reset.
    struct Active {
        let memory: GuestMemory
        let features: VirtioFeatures
        let queues: [Virtqueue?]
    }

    var interrupt: (any VirtioInterrupt)?

    private(set) var disk: DiskProperties
    private(set) var engine: any StorageEngine
    var limits: RateLimiter?
    let wakers: Wakers
    let hostFaults: GuestFaultLog

    var statistics = BlockStatistics()
    var active: Active?
    /// The driver broke a virtqueue: what is in flight is finished, nothing more is taken.
    var isFaulty = false
    /// By slot; changed in place only, so that a request costs no reference counts.
    var transfers: [BlockTransfer]
    /// The slots that are not in use.
    var free: [Int]
    /// Popped, but held back by the rate limit; nothing else is popped meanwhile.
    var throttled: Int?
    /// The virtqueues, as bits, that have buffers which no kick will tell of.
    var backlog: UInt32 = 0
    /// The virtqueues, as bits, to which buffers were returned since their driver was last told.
    var returned: UInt32 = 0

    init(
        disk: DiskProperties,
        engine: any StorageEngine,
        limits: RateLimiter?,
        wakers: Wakers,
        hostFaults: GuestFaultLog
    ) {
        self.disk = disk
        self.engine = engine
        self.limits = limits
        self.wakers = wakers
        self.hostFaults = hostFaults
        transfers = (0..<min(engine.capacity, BlockDevice.requestCapacity)).map(BlockTransfer.init)
        free = Array(transfers.indices)
    }

    // MARK: - Life

    mutating func activate(_ context: ActivationContext) throws(VirtqueueFault) {
        var queues: [Virtqueue?] = []
        for configuration in context.queues {
            guard let configuration else {
                queues.append(nil)
                continue
            }
            queues.append(try Virtqueue(configuration, memory: context.memory, features: context.features))
        }
        active = Active(memory: context.memory, features: context.features, queues: queues)
    }

    /// Waits for what is in flight, because the host's kernel still writes to guest memory; then forgets the driver.
    mutating func reset() {
        while engine.inFlightCount > 0 {
            engine.waitForCompletion()
            while engine.takeCompletion() != nil {}
        }
        active = nil
        isFaulty = false
        free = Array(transfers.indices)
        throttled = nil
        (backlog, returned) = (0, 0)
    }

    /// Waits for what is in flight and returns it to the driver.
    mutating func drain() {
        while engine.inFlightCount > 0 {
            engine.waitForCompletion()
            takeCompletions()
        }
        notify()
    }

    /// Goes on with another disk and its engine.
    mutating func replace(_ disk: DiskProperties, _ engine: any StorageEngine) {
        drain()
        self.disk = disk
        self.engine = engine
    }

    // MARK: - Events

    mutating func process(_ index: Int, configuration: BlockConfigurationSpace) {
        do {
            try pop(from: index, configuration)
        } catch {
            fail(error)
        }
        notify()
    }

    mutating func handleCompletions(configuration: BlockConfigurationSpace) {
        takeCompletions()
        resume(configuration: configuration)
    }

    /// Goes on with what had to wait: for a free transfer, for its turn, or for the rate limit.
    mutating func resume(configuration: BlockConfigurationSpace) {
        do {
            if let slot = throttled.take() { try start(slot, configuration) }
            let indices = QueueIndices(bits: backlog)
            backlog = 0
            for index in indices { try pop(from: index, configuration) }
            finishTurn()
        } catch {
            fail(error)
        }
        notify()
    }

    /// Tells the driver once of all that was returned, where it wants to hear of it.
    private mutating func notify() {
        guard returned != 0, active != nil else { return }
        var isWanted = false
        for index in QueueIndices(bits: returned) where active?.queues[index]?.takeNotification() == true {
            isWanted = true
        }
        returned = 0
        if isWanted { interrupt?.notifyUsedBuffers() }
    }

    private mutating func fail(_ fault: VirtqueueFault) {
        isFaulty = true
        interrupt?.notifyNeedsReset(fault)
    }
}

/// The virtqueues of a set of bits, in ascending order.
private struct QueueIndices: Sequence, IteratorProtocol {
    var bits: UInt32

    mutating func next() -> Int? {
        guard bits != 0 else { return nil }
        defer { bits &= bits - 1 }
        return bits.trailingZeroBitCount
    }
}
