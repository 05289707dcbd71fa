// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage

/// Descriptors that a thread waits for all at once, by poll(2).
///
/// For descriptors that come and go; `EventSet` is for those that stay.
package enum Poll {
    /// The events of a descriptor: those asked for, and those that have come.
    package struct Events: OptionSet, Sendable {
        package let rawValue: Int16

        package init(rawValue: Int16) {
            self.rawValue = rawValue
        }

        /// A read does not block.
        package static let readable = Events(rawValue: Int16(POLLIN))
        /// A write of a byte does not block.
        package static let writable = Events(rawValue: Int16(POLLOUT))
        /// The peer of a socket sends nothing more.
        package static let peerClosed = Events(rawValue: 0x2000)  // POLLRDHUP, which glibc has behind _GNU_SOURCE only
        /// Answered without being asked for: the other side is gone.
        package static let hangUp = Events(rawValue: Int16(POLLHUP))
        /// Answered without being asked for.
        package static let error = Events(rawValue: Int16(POLLERR))
        /// Answered without being asked for: the descriptor is not open.
        package static let invalid = Events(rawValue: Int16(POLLNVAL))
    }

    /// Waits for several descriptors.
    ///
    /// - Parameters:
    ///   - entries: Descriptors, and what each is asked; `nil` for one that is left out this time.
    ///   - timeout: The limit; `nil` for as long as it takes.
    /// - Returns: The answers, in the same order; all of them empty where the time is over.
    package static func wait(
        for entries: [(descriptor: FileDescriptor?, events: Events)],
        timeout: Duration? = nil
    ) -> [Events] {
        // A negative descriptor is one that poll leaves out.
        var set = entries.map { pollfd(fd: $0.descriptor?.rawValue ?? -1, events: $0.events.rawValue, revents: 0) }
        let deadline = timeout.map { ContinuousClock.now + $0 }
        while true {
            let count = unsafe poll(&set, nfds_t(set.count), deadline.map(milliseconds) ?? -1)
            // All other errors are of the caller's making, but for ENOMEM: it comes again as after a time-out.
            if count >= 0 || errno != EINTR { return set.map { Events(rawValue: count < 0 ? 0 : $0.revents) } }
        }
    }

    package static func wait(
        for descriptor: FileDescriptor,
        _ events: Events,
        timeout: Duration? = nil
    ) -> Events {
        wait(for: [(descriptor, events)], timeout: timeout)[0]
    }

    /// The time up to `deadline`, rounded up.
    private static func milliseconds(until deadline: ContinuousClock.Instant) -> CInt {
        let left = deadline - .now
        guard left > .zero else { return 0 }
        return CInt(clamping: Int64(min(left, .seconds(1 << 20)) / .milliseconds(1)) + 1)
    }
}
