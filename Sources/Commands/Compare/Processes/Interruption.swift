// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import Synchronization
import SystemPackage

/// The wish of user or system that all should end: SIGINT, SIGTERM, SIGHUP or SIGQUIT.
///
/// Signals only make a descriptor readable. Every wait of a comparison waits for it too and throws, and what was started is
/// ended on the way out, as after any other error.
package struct Interruption: Sendable {
    private final class Wish: Sendable {
        let event: EventFD
        /// The first signal; 0 until one has come.
        let signal = Atomic<CInt>(0)

        init() throws(Errno) { event = try EventFD() }
    }

    private let wish: Wish?
    /// Readable from the first signal on; `nil` where no signal is watched.
    var descriptor: FileDescriptor? { wish?.event.descriptor }

    /// Never comes: for tests and for cleaning up, which nothing shall interrupt.
    static let never = Interruption(wish: nil)

    private init(wish: Wish?) {
        self.wish = wish
    }

    /// Watches the signals of this process from now on; once in its life.
    ///
    /// - Throws: The errors of `SignalWatch`.
    package init() throws {
        let wish = try Wish()
        try SignalWatch([SIGINT, SIGTERM, SIGHUP, SIGQUIT]) { signal in
            _ = wish.signal.compareExchange(expected: 0, desired: signal, ordering: .relaxed)
            wish.event.signal()
        }
        self.wish = wish
    }

    /// - Throws: `ComparisonError.interrupted`, if the wish is there.
    func check() throws(ComparisonError) {
        if let signal = wish?.signal.load(ordering: .relaxed), signal != 0 { throw .interrupted(signal: signal) }
    }
}
