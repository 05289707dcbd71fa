// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The time that a process took from its start, or that of the jailer before it, to its API, in microseconds.
package struct StartTime: Hashable, Sendable {
    /// On the clock.
    package var elapsed: UInt64 = 0
    /// Of the processor.
    package var processor: UInt64 = 0

    package init() {}

    /// Measures from what a jailer hands on to now.
    ///
    /// - Parameters:
    ///   - start: The time of CLOCK_MONOTONIC when the jailer began.
    ///   - processorStart: The time of CLOCK_PROCESS_CPUTIME_ID when the jailer began.
    ///   - parentProcessor: The time of the processor that the jailer's other processes took.
    package init(since start: UInt64?, processorStart: UInt64?, parentProcessor: UInt64?) {
        if let start { elapsed = Self.now(CLOCK_MONOTONIC) &- start }
        if let processorStart {
            processor = Self.now(CLOCK_PROCESS_CPUTIME_ID) &- processorStart &+ (parentProcessor ?? 0)
        }
    }

    private static func now(_ clock: clockid_t) -> UInt64 {
        var now = timespec()
        // Fails for no clock that every kernel has.
        unsafe clock_gettime(clock, &now)
        return UInt64(clamping: now.tv_sec) &* 1_000_000 &+ UInt64(clamping: now.tv_nsec / 1000)
    }
}
