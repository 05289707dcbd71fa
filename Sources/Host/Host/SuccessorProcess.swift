// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
import Synchronization
package import SystemPackage

/// A process that goes on in the memory of this one, without the time that a copy of it, or a new program, takes to start.
///
///     try SuccessorProcess.leave(died: "died\n", unheard: "serves\n") { report in
///         report.tell(answer: "ready\n")
///         return serve()
///     }
///
/// The process that was started ends with the report, so its parent takes it for a command that has done its work.
package enum SuccessorProcess {
    /// The successor's way to have the other process say something and end, once.
    package final class Report: Sendable {
        private let owned: Mutex<OwnedDescriptor?>

        fileprivate init(adopting descriptor: CInt) {
            owned = Mutex(OwnedDescriptor(adopting: descriptor))
        }

        /// Has the other process end, unless it was told before.
        ///
        /// - Parameters:
        ///   - status: Its exit status.
        ///   - messages: What it writes to standard error, without a byte 0.
        ///   - answer: What it writes to standard output.
        ///   - prepare: What is done before, by the one that tells; others wait for it.
        /// - Returns: `false` where it was told before.
        @discardableResult
        package func tell(
            status: UInt8 = 0,
            messages: String = "",
            answer: String = "",
            after prepare: () -> Void = {}
        ) -> Bool {
            owned.withLock { owned in
                guard let descriptor = owned.take() else { return false }
                prepare()
                // The write fails when the other process has ended, which does not concern this one.
                try? descriptor.borrowed.write(all: [status] + Array(messages.utf8) + [0] + Array(answer.utf8))
                return true
            }
        }
    }

    /// Leaves to a process that calls `body`: this one, which has no thread but this, waits for its report and ends.
    ///
    /// The successor leads a session of its own. Of this process's descriptors it has the standard output and error; its standard
    /// input is /dev/null. No signal is blocked or ignored but SIGPIPE.
    ///
    /// - Parameters:
    ///   - died: What this process writes to standard error, to end with status 1, where the successor failed without a report.
    ///   - unheard: The same where standard output does not take the answer.
    ///   - body: Called in the successor, which ends with the status that is returned. Where that is 0 and there was no report, this
    ///     function returns. No other thread may be left then, for the memory is this process's again.
    /// - Throws: `Errno`: the host has no process, memory or descriptor left.
    package static func leave(
        died: String,
        unheard: String,
        to body: (Report) -> UInt8
    ) throws(Errno) {
        typealias Body = (Report) -> UInt8
        let result = withoutActuallyEscaping(body) { body in
            var body: Body = body
            return unsafe withUnsafeMutablePointer(to: &body) { body in
                unsafe chost_leave_to_successor(
                    { unsafe _exit(CInt($0.assumingMemoryBound(to: Body.self).pointee(Report(adopting: $1)))) },
                    body,
                    died,
                    unheard
                )
            }
        }
        guard result == 0 else { throw Errno(rawValue: -result) }
    }
}
