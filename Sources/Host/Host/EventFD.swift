// SPDX-License-Identifier: Apache-2.0

import CHost
package import SystemPackage

/// An eventfd(2): the kernel's own "something happened", which KVM can wait for (irqfd) and give (ioeventfd).
package final class EventFD: Sendable {
    private let owned: OwnedDescriptor

    /// Makes an event that has not happened.
    package init() throws(Errno) {
        owned = OwnedDescriptor(adopting: try hostCall { chost_eventfd() })
    }

    /// Readable once it has happened, until it is taken.
    package var descriptor: FileDescriptor {
        owned.borrowed
    }

    /// Makes it happen.
    ///
    /// Never blocks: a counter that is full says the same.
    package func signal() {
        // The only failure of an owned, non-blocking eventfd is the full counter.
        chost_eventfd_signal(owned.rawValue)
    }

    /// Takes all that has happened since the last call; 0 when nothing has.
    @discardableResult
    package func take() -> UInt64 {
        var count: UInt64 = 0
        return unsafe chost_eventfd_take(owned.rawValue, &count) == 0 ? count : 0
    }
}
