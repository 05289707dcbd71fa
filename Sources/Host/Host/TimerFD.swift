// SPDX-License-Identifier: Apache-2.0

import CHost
package import SystemPackage

/// A timerfd(2) that fires once, on the clock that no one sets.
package final class TimerFD: Sendable {
    private let owned: OwnedDescriptor

    /// Makes a timer that is not armed.
    package init() throws(Errno) {
        owned = OwnedDescriptor(adopting: try hostCall { chost_timerfd() })
    }

    /// Readable once it has fired, until it is armed again.
    package var descriptor: FileDescriptor {
        owned.borrowed
    }

    /// Fires once, after `delay`; replaces an earlier deadline.
    package func arm(after delay: Duration) {
        // 0 would disarm.
        let (seconds, attoseconds) = delay.components
        let nanoseconds = max(0, seconds) * 1_000_000_000 + attoseconds / 1_000_000_000
        chost_timerfd_arm(owned.rawValue, UInt64(max(1, nanoseconds)))
    }
}
