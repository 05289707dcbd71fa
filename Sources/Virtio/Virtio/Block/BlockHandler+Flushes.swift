// SPDX-License-Identifier: Apache-2.0

import Devices
import Storage
import SystemPackage

/// The flushes of a block device: one call of the host at a time, for all that were asked for before it began.
///
/// More at a time bring nothing, and each would hold up a thread of the disk for as long as the disk is behind.
struct BlockFlushes {
    /// The slots that the call under way answers, that of its order first.
    var current: [Int] = []
    /// Those for the next call.
    var next: [Int] = []
    /// A failure that no driver has been told of: the host's kernel reports each one once.
    var untoldFailure: Errno?

    mutating func removeAll() {
        current.removeAll(keepingCapacity: true)
        next.removeAll(keepingCapacity: true)
    }
}

extension BlockHandler {
    mutating func startFlush(_ slot: Int, _ queues: borrowing ServedQueues) -> ChainOutcome {
        requests[slot].order.operation = .flush
        // From before a reset. The data is lost, whatever the host says now.
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
        // What these were to make durable may be lost as well, and the host reports it once.
        for slot in flushes.current { complete(slot, .ioError, &queues) }
        flushes.current.removeAll(keepingCapacity: true)
    }
}
