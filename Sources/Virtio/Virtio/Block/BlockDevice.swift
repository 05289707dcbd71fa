// SPDX-License-Identifier: Apache-2.0

package import Devices
package import Host
package import Storage
import Synchronization
package import SystemPackage

/// A virtio block device (virtio 1.2, section 5.2) for a disk of the host.
///
/// Data goes directly between guest memory and the disk. No request of the host waits for the device's lock:
/// statistics, limits, a new size and a new disk are atomics and orders that the device's thread carries out.
package final class BlockDevice: QueuedDevice {
    package static let queueSize: UInt16 = 256
    /// The number of requests that may be in flight; further ones wait in their virtqueue.
    package static let requestCapacity = 256
    package static let queueCounts = 1...16

    package let deviceID: UInt32 = 2
    package let features: VirtioFeatures
    package let queueMaximumSizes: [UInt16]
    package var server: any QueueServing { queues }

    private let registers: BlockRegisters
    private let counters = BlockCounters()
    private let replacement = BlockReplacement()
    private let completions: EventFD
    private let queues: QueueServer<BlockHandler>

    /// - Parameters:
    ///   - disk: The properties that the driver sees.
    ///   - engine: The I/O engine, for `requestCapacity` requests or more.
    ///   - queueCount: The number of virtqueues, 1 to 16.
    ///   - limits: The limits on the rate of requests.
    ///   - hostFaults: The log of the host's errors, at a limited rate.
    /// - Throws: `Errno` where the host has no descriptor left.
    package init(
        disk: DiskProperties,
        engine: sending any StorageEngine,
        queueCount: Int = 1,
        limits: RateLimiter? = nil,
        hostFaults: GuestFaultLog
    ) throws(Errno) {
        precondition(Self.queueCounts.contains(queueCount), "a block device has 1 to 16 virtqueues")
        var features: VirtioFeatures = [
            .version1, .ringIndirectDescriptors, .ringEventIndex, .blockSizeMaximum, .blockSegmentMaximum,
            .blockBlockSize, .blockTopology, .blockMultiqueue,
        ]
        if disk.canFlush { features.formUnion([.blockFlush, .blockConfigurableWriteback]) }
        if disk.isReadOnly { features.insert(.blockReadOnly) }
        if disk.canDiscard, !disk.isReadOnly { features.formUnion([.blockDiscard, .blockWriteZeroes]) }
        self.features = features
        queueMaximumSizes = Array(repeating: Self.queueSize, count: queueCount)
        registers = BlockRegisters(disk, queueCount: queueCount)
        completions = engine.completionEvent
        let slotCount = min(engine.capacity, Self.requestCapacity)
        let handler = BlockHandler(
            disk: disk,
            engine: engine,
            registers: registers,
            counters: counters,
            replacement: replacement,
            hostFaults: hostFaults
        )
        queues = try QueueServer(handler, queueCount: queueCount, slotCount: slotCount, limiters: [limits])
    }

    package var eventSources: [EventLoop.Source] {
        queues.eventSources + [EventLoop.Source(completions.descriptor) { [queues] in queues.resume() }]
    }

    // MARK: - The driver

    // The compiler specialises the server for its handler where it knows both: here, and not through `server`.
    package func processQueue(_ index: Int) { queues.processQueue(index) }

    package func readConfiguration(at offset: UInt64, into data: inout MutableRawSpan) {
        registers.space.read(at: offset, into: &data)
    }

    package func writeConfiguration(at offset: UInt64, from data: RawSpan) {
        guard
            offset == BlockRegisters.writebackOffset, data.byteCount == 1,
            registers.canSetWriteback.load(ordering: .relaxed)
        else { return }
        registers.isWriteback.store(data.byte(at: 0) != 0, ordering: .relaxed)
    }

    package func accept(_ features: VirtioFeatures) {
        registers.canSetWriteback.store(features.contains(.blockConfigurableWriteback), ordering: .relaxed)
        // 5.2.5.1: a driver that takes neither feature cannot request a flush, so each write must be durable.
        let flushing: VirtioFeatures = [.blockFlush, .blockConfigurableWriteback]
        let isDurable = self.features.isSuperset(of: flushing) && features.isDisjoint(with: flushing)
        registers.isWriteback.store(!isDurable, ordering: .relaxed)
    }

    package func reset() {
        queues.reset()
        registers.reset()
    }

    package var savedState: VirtioDeviceState {
        let failure = queues.read { handler in handler.flushes.untoldFailure?.rawValue ?? 0 }
        let block = BlockDeviceState(
            capacity: registers.capacity.load(ordering: .relaxed),
            isWriteback: registers.isWriteback.load(ordering: .relaxed),
            untoldFlushFailure: failure
        )
        return VirtioDeviceState(queues: queues.serverState, block: block)
    }

    package func restore(_ state: VirtioDeviceState) {
        guard let block = state.block else { return }
        if registers.canSetWriteback.load(ordering: .relaxed) {
            registers.isWriteback.store(block.isWriteback, ordering: .relaxed)
        }
        if block.untoldFlushFailure != 0 {
            let failure = Errno(rawValue: block.untoldFlushFailure)
            queues.whileLocked { handler, _ in handler.flushes.untoldFailure = failure }
        }
        // The file has another size than the driver knows.
        if block.capacity != registers.capacity.load(ordering: .relaxed) { queues.notifyConfigurationChange() }
    }

    // MARK: - The host

    /// Limits the rate of requests from now on.
    ///
    /// - Parameter limits: `nil` for no limit.
    package func setLimits(_ limits: RateLimiter?) {
        queues.setLimiter(limits, at: 0)
    }

    /// The device's counters so far.
    package var statistics: BlockStatistics { counters.statistics }

    /// Replaces the disk, as soon as nothing is in flight; the driver learns its size.
    ///
    /// Properties that the driver knows already stay as they are: block size, read-only, discard.
    ///
    /// `makeEngine` must use the given completion event. Where it throws, nothing has changed.
    package func replace(
        by disk: DiskProperties,
        engine makeEngine: (EventFD) throws(StorageError) -> sending any StorageEngine
    ) throws(StorageError) {
        replacement.order(disk, try makeEngine(completions))
        // At once where nothing is in flight: the thread of a machine that is paused does not run.
        queues.ifAvailable { handler, queues in
            if handler.engine.inFlightCount == 0 { handler.takeReplacement(&queues) }
        }
        resize(toByteCount: disk.byteCount)
        queues.wake()
    }

    /// Notifies the driver of the disk's new size (5.2.4): its capacity changes at once.
    ///
    /// - Returns: Whether the size has changed.
    @discardableResult
    package func resize(toByteCount byteCount: UInt64) -> Bool {
        let capacity = byteCount / 512
        guard registers.capacity.exchange(capacity, ordering: .sequentiallyConsistent) != capacity else { return false }
        queues.notifyConfigurationChange()
        return true
    }
}
