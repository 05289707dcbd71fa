// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The counters of a block device since it was made.
package struct BlockStatistics: Codable, Hashable, Sendable {
    /// Requests that were answered, by kind; those that failed are among them.
    package var reads: UInt64 = 0
    package var writes: UInt64 = 0
    package var flushes: UInt64 = 0
    /// Discards and write-zeroes.
    package var discards: UInt64 = 0
    /// Of requests that did not fail.
    package var bytesRead: UInt64 = 0
    package var bytesWritten: UInt64 = 0
    /// Requests that were answered with an error.
    package var failures: UInt64 = 0
    /// Requests that the rate limit held back.
    package var throttled: UInt64 = 0

    package init() {}
}

/// The counters of a block device, which anybody may read at any time without its lock.
final class BlockCounters: Sendable {
    private let reads = Atomic<UInt64>(0)
    private let writes = Atomic<UInt64>(0)
    private let flushes = Atomic<UInt64>(0)
    private let discards = Atomic<UInt64>(0)
    private let bytesRead = Atomic<UInt64>(0)
    private let bytesWritten = Atomic<UInt64>(0)
    private let failures = Atomic<UInt64>(0)
    private let throttled = Atomic<UInt64>(0)

    var statistics: BlockStatistics {
        var statistics = BlockStatistics()
        statistics.reads = reads.load(ordering: .relaxed)
        statistics.writes = writes.load(ordering: .relaxed)
        statistics.flushes = flushes.load(ordering: .relaxed)
        statistics.discards = discards.load(ordering: .relaxed)
        statistics.bytesRead = bytesRead.load(ordering: .relaxed)
        statistics.bytesWritten = bytesWritten.load(ordering: .relaxed)
        statistics.failures = failures.load(ordering: .relaxed)
        statistics.throttled = throttled.load(ordering: .relaxed)
        return statistics
    }

    func count(_ kind: BlockRequest.Kind?, byteCount: UInt64, _ status: BlockRequest.Status) {
        let byteCount = status == .ok ? byteCount : 0
        if status != .ok { Self.add(1, to: failures) }
        switch kind {
        case .read:
            Self.add(1, to: reads)
            Self.add(byteCount, to: bytesRead)
        case .write:
            Self.add(1, to: writes)
            Self.add(byteCount, to: bytesWritten)
        case .flush: Self.add(1, to: flushes)
        case .discard, .writeZeroes: Self.add(1, to: discards)
        case .getID, nil: break
        }
    }

    /// Counts a request that the rate limit holds back.
    func countThrottled() { Self.add(1, to: throttled) }

    /// Plain loads and stores: the device's lock lets one writer in.
    private static func add(_ value: UInt64, to counter: borrowing Atomic<UInt64>) {
        counter.store(counter.load(ordering: .relaxed) &+ value, ordering: .relaxed)
    }
}
