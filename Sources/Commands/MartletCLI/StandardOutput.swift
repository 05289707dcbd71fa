// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import MachineSession
import SystemPackage

/// Standard output, for the answer of a command: no failure is silent.
enum StandardOutput {
    /// The answer could not be written.
    struct Failure: Error, CustomStringConvertible {
        let errno: Errno
        var description: String { "cannot write standard output: \(errno)" }
    }

    /// Writes all bytes, as they are.
    ///
    /// - Throws: `Failure`; does not return where the reader is gone: then SIGPIPE ends the process, as a shell expects.
    static func write(_ bytes: some Sequence<UInt8>) throws(Failure) {
        do throws(Errno) {
            try FileDescriptor.standardOutput.write(all: bytes)
        } catch {
            if error == .brokenPipe { Terminal.endProcess(bySignal: SIGPIPE) }
            throw Failure(errno: error)
        }
    }

    /// Writes a line or more, which a terminal gets without escape sequences and the like.
    static func write(line text: String, terminator: String = "\n") throws(Failure) {
        let shown = Terminal.isTerminal(.standardOutput) ? printable(text, keepsLines: true) : text
        try write(Array((shown + terminator).utf8))
    }
}

/// Prints a command's answer; a failure ends the process with 1, because the command has not done its work then.
///
/// The standard library's `print` loses what a full or non-blocking descriptor does not take.
func printAnswer(_ item: some CustomStringConvertible = "", terminator: String = "\n") {
    do throws(StandardOutput.Failure) {
        try StandardOutput.write(line: item.description, terminator: terminator)
    } catch {
        Messages.write("\(error)")
        exit(1)
    }
}
