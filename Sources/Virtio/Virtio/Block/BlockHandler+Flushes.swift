// SPDX-License-Identifier: Apache-2.0

import Devices
import Storage
import SystemPackage

/// The flushes of a block device: one call of the host at a time, for all flushes that were requested before it began.
///
/// More at a time would not help, and each would occupy a thread of the disk for as long as the disk is busy.
struct BlockFlushes {
    /// The slots that the current call answers, beginning with its own.
    var current: [Int] = []
    /// The slots that wait for the next call.
    var next: [Int] = []
    /// A failure that no driver has learned of: the host's kernel reports each one once.
    var untoldFailure: Errno?

    mutating func removeAll() {
        current.removeAll(keepingCapacity: true)
        next.removeAll(keepingCapacity: true)
    }
}

extension BlockHandler {
    mutating func startFlush(_ slot: Int, _ queues: borrowing ServedQueues) -> ChainOutcome {
        requests[slot].order.operation = .flush
        // A failure from before a reset: the data is lost, whatever the host reports now.
        if let failure = flushes.untoldFailure.take() {
            hostFaults.record("flush: \(failure), in an earlier one that was not answered")
            return .done(written: answer(slot, .ioError, queues))
        }
        guard flushes.current.isEmpty else {
            flushes.next.append(slot)
            return .inFlight
        }
        flushes.current.append(slot)
        return submit(slot)
    }

    mutating func finishFlush(_ error: Errno?, _ queues: inout ServedQueues) {
        for slot in flushes.current { complete(slot, error == nil ? .ok : .ioError, &queues) }
        flushes.current.removeAll(keepingCapacity: true)
        guard !flushes.next.isEmpty else { return }
        swap(&flushes.current, &flushes.next)
        if error == nil {
            _ = submit(flushes.current[0])
            isCommitDue = true
            return
        }
        // The data of these flushes may be lost as well, and the host reports it once.
        for slot in flushes.current { complete(slot, .ioError, &queues) }
        flushes.current.removeAll(keepingCapacity: true)
    }
}
