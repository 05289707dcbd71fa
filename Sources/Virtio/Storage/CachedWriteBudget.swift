// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The budget for writes into the page cache that are made at once, on the thread of the disk.
///
/// Most are copies, and take less time than a change of thread. One that waits, for the disk to catch up or for a flush,
/// would keep the disk's other requests waiting: after such a one the next go where they keep nobody waiting.
struct CachedWriteBudget {
    /// The time beyond which a call has waited, in nanoseconds as all times here.
    private static let copyMaximum: UInt64 = 1_000_000
    /// The time that the writes of one commit may take together, by which another request is delayed.
    private static let commitMaximum: UInt64 = 2_000_000
    /// The number of writes that go elsewhere after one that has waited.
    private static let pauseCount = 64

    private var leftToPause = 0
    private var lastTime: UInt64?
    private var commitEnd: UInt64 = 0

    /// Begins to count anew.
    mutating func startCommit() {
        lastTime = nil
    }

    /// Makes a write, if it may be made now.
    mutating func spend(now: () -> UInt64 = Self.monotonicTime, on write: () -> Void) {
        guard leftToPause == 0 else { return leftToPause -= 1 }
        let start = lastTime ?? now()
        if lastTime == nil { commitEnd = start + Self.commitMaximum }
        guard start < commitEnd else { return }
        write()
        let end = now()
        if end - start > Self.copyMaximum { leftToPause = Self.pauseCount }
        lastTime = end
    }

    private static func monotonicTime() -> UInt64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
