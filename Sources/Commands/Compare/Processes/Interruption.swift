// SPDX-License-Identifier: Apache-2.0

import CCompare
import SystemPackage

/// The wish of user or system that all should end: SIGINT, SIGTERM, SIGHUP or SIGQUIT.
///
/// Signals only make a descriptor readable. Every wait of a comparison waits for it too and throws, and what was started is
/// ended on the way out, as after any other error.
package struct Interruption: Sendable {
    /// Readable from the first signal on; `nil` where no signal is watched.
    let descriptor: FileDescriptor?

    /// Never comes: for tests and for cleaning up, which nothing shall interrupt.
    static let never = Interruption(descriptor: nil)

    private init(descriptor: FileDescriptor?) {
        self.descriptor = descriptor
    }

    /// Watches the signals of this process from now on; once in its life.
    ///
    /// - Throws: `ComparisonError` where the host has no descriptor left.
    package init() throws(ComparisonError) {
        descriptor = FileDescriptor(rawValue: try checked("watching signals", ccompare_watch_signals()))
    }

    /// - Throws: `ComparisonError.interrupted`, if the wish is there.
    func check() throws(ComparisonError) {
        let signal = ccompare_first_signal()
        if descriptor != nil, signal != 0 { throw .interrupted(signal: signal) }
    }
}
