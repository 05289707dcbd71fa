// SPDX-License-Identifier: Apache-2.0

import CHost
package import SystemPackage

/// An eventfd(2): a counter of the kernel's that KVM can wait for (irqfd) and signal (ioeventfd).
package final class EventFD: Sendable {
    private let owned: OwnedDescriptor

    /// Makes an event that is not signalled.
    package init() throws(Errno) {
        owned = OwnedDescriptor(adopting: try hostCall { chost_eventfd() })
    }

    /// The descriptor: readable from a signal on until the event is taken.
    package var descriptor: FileDescriptor {
        owned.borrowed
    }

    /// Signals the event: adds 1 to the counter.
    ///
    /// Never blocks: a full counter is a signal as well.
    package func signal() {
        // The only failure of an owned, non-blocking eventfd is the full counter.
        chost_eventfd_signal(owned.rawValue)
    }

    /// Resets the counter and returns the number of signals since the last call.
    @discardableResult
    package func take() -> UInt64 {
        var count: UInt64 = 0
        return unsafe chost_eventfd_take(owned.rawValue, &count) == 0 ? count : 0
    }
}
