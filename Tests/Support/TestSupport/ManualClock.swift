// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// A wall clock that stands still until a test moves it.
package final class ManualClock: Sendable {
    private let time: Mutex<Duration>

    /// - Parameter secondsSince1970: What the clock shows first.
    package init(secondsSince1970: Int) { time = Mutex(.seconds(secondsSince1970)) }

    package var now: Duration { time.withLock { $0 } }

    package func advance(by duration: Duration) { time.withLock { $0 += duration } }

    package func set(_ duration: Duration) { time.withLock { $0 = duration } }
}
