// SPDX-License-Identifier: Apache-2.0

/// The deadline of a command, however many steps it takes.
package struct TimeLimit: Sendable {
    private let end: SuspendingClock.Instant?

    private init(_ end: SuspendingClock.Instant?) {
        self.end = end
    }

    package static func after(_ duration: Duration) -> TimeLimit { TimeLimit(.now + duration) }

    package static let never = TimeLimit(nil)

    /// The time that is left; at least 0.
    package var left: Duration {
        // A century: what is added to the time of day must not overflow.
        guard let end else { return .seconds(100 * 365 * 86400) }
        return max(.zero, SuspendingClock.now.duration(to: end))
    }

    package var hasPassed: Bool { left == .zero }

    /// The earlier one of this limit and a moment from now.
    package func atMost(_ duration: Duration) -> TimeLimit {
        let other = SuspendingClock.now + duration
        return TimeLimit(end.map { min($0, other) } ?? other)
    }
}
