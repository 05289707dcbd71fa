// SPDX-License-Identifier: Apache-2.0

import CHost
package import SystemPackage

/// Descriptors that a thread waits for, each reported once for every time that it becomes readable (epoll(7), edge-triggered).
///
/// So no event needs to be taken, which would be a system call for each: an eventfd that was signalled before reports again
/// when it happens again.
package final class EventSet: Sendable {
    private let owned: OwnedDescriptor

    /// Makes a set; the first `wait` reports what is readable already.
    ///
    /// - Parameter descriptors: 64 at most; open as long as the set is used.
    /// - Throws: `Errno` where the host has no descriptor left.
    package init(_ descriptors: [FileDescriptor]) throws(Errno) {
        precondition(descriptors.count <= 64, "each descriptor has a bit")
        owned = OwnedDescriptor(adopting: try hostCall { chost_epoll() })
        for (index, descriptor) in descriptors.enumerated() {
            try hostCall { chost_epoll_add(owned.rawValue, descriptor.rawValue, CUnsignedInt(index)) }
        }
    }

    /// Waits until something has happened.
    ///
    /// - Returns: The descriptors that have become readable since the last report, as bits; perhaps none.
    package func wait() -> UInt64 {
        var ready: UInt64 = 0
        // An error is EINTR: the caller comes again.
        _ = unsafe chost_epoll_wait(owned.rawValue, &ready)
        return ready
    }
}
