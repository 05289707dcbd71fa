// SPDX-License-Identifier: Apache-2.0

import Devices
import GuestMemory
import Host
import Storage
import SystemPackage

/// The requests of a block device between its virtqueues and its engine.
struct BlockHandler: QueueHandler, ~Copyable {
    private(set) var disk: DiskProperties
    private(set) var engine: any StorageEngine
    let registers: BlockRegisters
    let counters: BlockCounters
    let replacement: BlockReplacement
    let hostFaults: GuestFaultLog

    /// By slot; changed in place only, so that a request costs no reference counting.
    var requests: [BlockRequest]
    /// The number of the engine's requests that touch guest memory.
    var transferCount = 0
    var flushes = BlockFlushes()
    /// Indicates whether something was submitted while completions were taken.
    var isCommitDue = false

    init(
        disk: DiskProperties,
        engine: any StorageEngine,
        registers: BlockRegisters,
        counters: BlockCounters,
        replacement: BlockReplacement,
        hostFaults: GuestFaultLog
    ) {
        self.disk = disk
        self.engine = engine
        self.registers = registers
        self.counters = counters
        self.replacement = replacement
        self.hostFaults = hostFaults
        requests = (0..<min(engine.capacity, BlockDevice.requestCapacity)).map(BlockRequest.init)
    }

    // MARK: - Life

    mutating func commit(_ queues: inout ServedQueues) {
        takeReplacement(&queues)
        repeat {
            isCommitDue = false
            engine.commit()
            // Many requests that the page cache serves are complete as soon as they are started.
            takeCompletions(&queues)
        } while isCommitDue
    }

    mutating func drain(_ extent: DrainExtent, _ queues: inout ServedQueues) {
        commit(&queues)
        while extent == .everything ? engine.inFlightCount > 0 : transferCount > 0 {
            engine.waitForCompletion()
            takeCompletions(&queues)
        }
    }

    /// Ends reads and writes, because the host's kernel still touches guest memory for them.
    ///
    /// A flush of a slow disk may take long. It continues by itself, and its slot stays taken.
    mutating func cancel(_ queues: inout ServedQueues) {
        engine.cancel()
        for slot in requests.indices where requests[slot].isWithEngine && !requests[slot].isTransfer {
            requests[slot].isAbandoned = true
            queues.abandon(slot)
        }
        flushes.removeAll()
        while let completion = engine.takeCompletion() { take(completion, isCancelled: true, &queues) }
    }

    /// Continues with the replacement disk and its engine, if any.
    mutating func takeReplacement(_ queues: inout ServedQueues) {
        guard let (disk, engine) = replacement.take() else { return }
        while self.engine.inFlightCount > 0 {
            self.engine.waitForCompletion()
            takeCompletions(&queues)
        }
        (self.disk, self.engine) = (disk, engine)
    }

    // MARK: - Completing

    private mutating func takeCompletions(_ queues: inout ServedQueues) {
        while let completion = engine.takeCompletion() { take(completion, isCancelled: false, &queues) }
    }

    private mutating func take(_ completion: StorageCompletion, isCancelled: Bool, _ queues: inout ServedQueues) {
        let slot = completion.slot
        requests[slot].isWithEngine = false
        if requests[slot].isTransfer { transferCount -= 1 }
        if let error = completion.error, !isCancelled || !requests[slot].isTransfer { report(error, of: slot) }
        if requests[slot].isAbandoned {
            requests[slot].isAbandoned = false
            requests[slot].ranges.removeAll(keepingCapacity: true)
            if requests[slot].kind == .flush { flushes.untoldFailure = completion.error ?? flushes.untoldFailure }
            return queues.release(slot)
        }
        guard !isCancelled else { return }
        switch requests[slot].kind {
        case .flush: finishFlush(completion.error, &queues)
        case .discard, .writeZeroes: finishRange(slot, completion.error, &queues)
        default:
            let isRead = requests[slot].kind == .read
            let isDone = completion.error == nil
            complete(
                slot,
                isDone ? .ok : .ioError,
                writtenByteCount: isRead && isDone ? Int(requests[slot].order.byteCount) : 0,
                &queues
            )
        }
    }

    private func report(_ error: Errno, of slot: Int) {
        let order = requests[slot].order
        switch order.operation {
        case .flush: hostFaults.record("flush: \(error)")
        case .discard where error == .notSupported, .writeZeroes where error == .notSupported: break
        default: hostFaults.record("\(order.operation) of \(order.byteCount) bytes at \(order.offset): \(error)")
        }
    }

    /// Answers a request that was in flight.
    mutating func complete(
        _ slot: Int,
        _ status: BlockRequest.Status,
        writtenByteCount: Int = 0,
        _ queues: inout ServedQueues
    ) {
        queues.complete(slot, written: answer(slot, status, writtenByteCount: writtenByteCount, queues))
    }

    /// Writes the status byte, the last one of the buffer.
    ///
    /// `writtenByteCount` is without the status byte. Returns the used length: with a gap before the status byte it ends where
    /// the gap begins (virtio 1.2, 2.7.8.2).
    func answer(
        _ slot: Int,
        _ status: BlockRequest.Status,
        writtenByteCount: Int = 0,
        _ queues: borrowing ServedQueues
    ) -> Int {
        counters.count(requests[slot].kind, byteCount: requests[slot].order.byteCount, status)
        if let last = queues.chains[slot].writable.last,
            let address = last.address.advanced(by: UInt64(last.byteCount) - 1)
        {
            // Ranges that were guest memory when the chain was taken still are.
            try? queues.memory?.store(status.rawValue, at: address)
        }
        let byteCount = queues.chains[slot].writableByteCount
        return writtenByteCount == byteCount - 1 ? byteCount : writtenByteCount
    }
}
