// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
package import SystemPackage

/// A copy of this process that goes on by itself, without the time that a new program takes to start.
///
///     let fork = try ProcessFork.start { report in
///         report.tell("ready")
///         return 0
///     }
///     print(fork.report())
package struct ProcessFork: ~Copyable {
    /// The copy's way to tell this process something, once.
    package final class Report {
        private var owned: OwnedDescriptor?

        fileprivate init(adopting descriptor: CInt) {
            owned = OwnedDescriptor(adopting: descriptor)
        }

        /// Indicates whether nothing has been told yet.
        package var isOpen: Bool { owned != nil }

        /// Tells `text`.
        package func tell(_ text: String) {
            // The write fails when the other process has ended, which does not concern the copy.
            try? owned?.borrowed.write(all: text.utf8)
            owned = nil
        }
    }

    /// The copy.
    package let process: RunningProcess
    private let reader: OwnedDescriptor

    /// Copies this process, which has no thread but this one.
    ///
    /// The copy leads a session of its own. Of this process's descriptors it has the standard output and error; its standard input is
    /// /dev/null. No signal is blocked or ignored but SIGPIPE.
    ///
    /// - Parameter body: Called in the copy, which ends with the status that is returned.
    /// - Returns: The copy.
    /// - Throws: `Errno`: the host has no process, memory or descriptor left.
    package static func start(_ body: (Report) -> CInt) throws(Errno) -> ProcessFork {
        typealias Body = (Report) -> CInt
        var (pidfd, reader): (CInt, CInt) = (-1, -1)
        let process = withoutActuallyEscaping(body) { body in
            var body: Body = body
            return unsafe withUnsafeMutablePointer(to: &body) { body in
                unsafe chost_fork(
                    { unsafe exit($0.assumingMemoryBound(to: Body.self).pointee(Report(adopting: $1))) },
                    body,
                    &reader,
                    &pidfd
                )
            }
        }
        guard process > 0 else { throw Errno(rawValue: -process) }
        return ProcessFork(
            process: RunningProcess(id: process, adopting: OwnedDescriptor(adopting: pidfd)),
            reader: OwnedDescriptor(adopting: reader)
        )
    }

    /// Waits for what the copy tells.
    ///
    /// - Returns: Its report; empty where it ended, or let go of it, without one.
    package func report() -> String {
        var bytes: [UInt8] = []
        while let more = try? reader.borrowed.readSome(limit: 4096), !more.isEmpty { bytes += more }
        return String(decoding: bytes, as: UTF8.self)
    }
}
