// SPDX-License-Identifier: Apache-2.0

import CHost
package import SystemPackage

/// Descriptors that come and go, or that are written to as well: one source of an `EventLoop` (an epoll(7) within its own).
///
/// Each event is reported once (edge-triggered), so the owner reads or writes until `EAGAIN`. Any thread may add and remove;
/// one thread takes events.
package final class DescriptorSet: Sendable {
    /// The events for which a descriptor is watched.
    package struct Interest: OptionSet, Hashable, Sendable {
        package let rawValue: UInt32

        package init(rawValue: UInt32) { self.rawValue = rawValue }

        package static let readable = Self(rawValue: UInt32(CHOST_READABLE))
        package static let writable = Self(rawValue: UInt32(CHOST_WRITABLE))
    }

    /// An event of a descriptor.
    package struct Event: Hashable, Sendable {
        /// The token of the descriptor.
        ///
        /// An owner that removes a descriptor may still have an event of it, so it uses no token twice.
        package let token: UInt64
        private let bits: UInt32

        init(_ ready: chost_ready) {
            (token, bits) = (ready.token, ready.events)
        }

        package var isReadable: Bool { bits & UInt32(CHOST_READABLE) != 0 }
        package var isWritable: Bool { bits & UInt32(CHOST_WRITABLE) != 0 }
        /// The other end has closed its side, or both (`EPOLLRDHUP`, `EPOLLHUP`); bytes may be left to be read.
        package var isHungUp: Bool { bits & UInt32(CHOST_HUNG_UP) != 0 }
        /// The descriptor is in error (`EPOLLERR`): a read or write returns the error.
        package var hasFailed: Bool { bits & UInt32(CHOST_FAILED) != 0 }
    }

    private static let batchCount = 64
    private static let turnBatchCount = 32
    private let owned: OwnedDescriptor

    /// Makes an empty set.
    package init() throws(Errno) {
        owned = OwnedDescriptor(adopting: try hostCall { chost_epoll() })
    }

    /// The descriptor for `EventLoop.Source`: readable while there are events.
    package var descriptor: FileDescriptor { owned.borrowed }

    /// Adds a descriptor; what holds already is an event at once.
    ///
    /// - Parameters:
    ///   - descriptor: Open until it is removed, or closed instead.
    ///   - interest: The events to wait for; hang-ups and errors come in any case.
    ///   - token: What its events bear.
    /// - Throws: `Errno`, such as `EPERM` for a regular file, which is always ready.
    package func add(
        _ descriptor: FileDescriptor,
        for interest: Interest,
        token: UInt64
    ) throws(Errno) {
        try hostCall { chost_epoll_set(owned.rawValue, 1, descriptor.rawValue, interest.rawValue, token) }
    }

    /// Changes the events of a descriptor; those that are pending are reported again.
    package func change(
        _ descriptor: FileDescriptor,
        to interest: Interest,
        token: UInt64
    ) throws(Errno) {
        try hostCall { chost_epoll_set(owned.rawValue, 0, descriptor.rawValue, interest.rawValue, token) }
    }

    /// Removes a descriptor that is still open; nothing where it is not in the set.
    package func remove(_ descriptor: FileDescriptor) {
        _ = chost_epoll_remove(owned.rawValue, descriptor.rawValue)
    }

    /// Calls `body` for everything that has happened, without waiting.
    ///
    /// Events that come meanwhile are left for the next call, for which the set's own descriptor is readable. So events that come
    /// as fast as they are taken do not keep the thread here.
    package func takeEvents(_ body: (Event) -> Void) {
        var ready = [chost_ready](repeating: chost_ready(), count: Self.batchCount)
        // Behind as many descriptors as a set has, all events are newer than the call.
        for _ in 0..<Self.turnBatchCount {
            var count = -CInt(Errno.interrupted.rawValue)
            while count == -CInt(Errno.interrupted.rawValue) {
                count = unsafe chost_epoll_take(owned.rawValue, &ready, CInt(ready.count))
            }
            guard count > 0 else { return }
            for index in 0..<Int(count) { body(Event(ready[index])) }
            // One batch has each descriptor once.
            guard count == CInt(ready.count) else { return }
        }
    }
}
