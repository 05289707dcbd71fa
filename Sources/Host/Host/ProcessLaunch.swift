// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
package import SystemPackage

/// A program to be started: with exactly the descriptors that are listed, and no signal blocked or ignored.
///
///     let log = try OwnedDescriptor(opening: path, O_WRONLY | O_CREAT)
///     var launch = ProcessLaunch(program, arguments: ["--listen-fd", "3"])
///     launch.descriptors = [nil, log.borrowed, log.borrowed, socket.descriptor]
///     let child = try launch.start()
package struct ProcessLaunch {
    package var program: FilePath
    /// The arguments after the program's name.
    package var arguments: [String]
    /// The child's descriptors 0, 1, 2 and so on; `nil` for /dev/null.
    ///
    /// It gets no other.
    package var descriptors: [FileDescriptor?] = [.standardInput, .standardOutput, .standardError]
    /// The child's environment, as `NAME=VALUE`; `nil` for this process's.
    package var environment: [String]?
    /// Indicates whether the child leads a session of its own, which no terminal ends.
    package var startsSession = false
    /// Indicates whether the child leads a process group of its own and is killed when the calling thread ends.
    ///
    /// Not a session: where the kernel schedules by sessions (sched_autogroup), a new one waits a turn at first.
    package var endsWithThisThread = false
    /// A mount that the child does not have, where this process may give it a mount namespace; `nil` for none.
    package var hiddenMount: FilePath?
    /// The child's working folder; `nil` for this process's.
    package var folder: FilePath?
    /// Indicates whether the child is in a jail: alone in namespaces of its own, with the right to make its root.
    package var jail: Jail?

    /// The namespaces of a child in a jail.
    package enum Jail: Sendable {
        case full
        /// All but the network's, for a program that has interfaces of the host's.
        case sharingNetwork

        /// Tries whether this host lets this process make a jail.
        package static func check() throws(Errno) {
            try hostCall { chost_jail_try() }
        }
    }

    package init(_ program: FilePath, arguments: [String] = []) {
        self.program = program
        self.arguments = arguments
    }

    /// Starts the program.
    ///
    /// - Returns: Its process, once the program runs.
    /// - Throws: `Errno`: the program is not there or cannot run, or the host has no process or descriptor left.
    package func start() throws(Errno) -> RunningProcess {
        let numbers = descriptors.map { $0?.rawValue ?? -1 }
        var pidfd: CInt = -1
        let process = unsafe withHostCStrings([program.string] + arguments) { arguments in
            unsafe withEnvironment { environment in
                unsafe withPaths { program, folder, hiddenMount in
                    unsafe numbers.withUnsafeBufferPointer { numbers in
                        // Only an array without entries has no address, and it has no entry to look at either.
                        guard let first = numbers.baseAddress else { return -EINVAL }
                        var launch = unsafe CHost.chost_launch(
                            program: program,
                            arguments: arguments,
                            environment: environment,
                            descriptors: first,
                            descriptor_count: CInt(numbers.count),
                            starts_session: startsSession ? 1 : 0,
                            folder: folder,
                            namespaces: jail.map { chost_jail_namespaces($0 == .sharingNetwork ? 1 : 0) } ?? 0,
                            ends_with: endsWithThisThread ? getpid() : 0,
                            hidden_mount: hiddenMount
                        )
                        return unsafe chost_start_process(&launch, &pidfd)
                    }
                }
            }
        }
        guard process > 0 else { throw Errno(rawValue: -process) }
        return RunningProcess(id: process, adopting: OwnedDescriptor(adopting: pidfd))
    }

    private func withEnvironment<R>(_ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R) -> R {
        guard let environment else { return unsafe body(environ) }
        return unsafe withHostCStrings(environment, body)
    }

    private func withPaths<R>(
        _ body: (_ program: UnsafePointer<CChar>, UnsafePointer<CChar>?, UnsafePointer<CChar>?) -> R
    ) -> R {
        func withOptional(_ path: FilePath?, _ body: (UnsafePointer<CChar>?) -> R) -> R {
            guard let path else { return body(nil) }
            return unsafe path.withPlatformString { unsafe body($0) }
        }
        return unsafe program.withPlatformString { program in
            unsafe withOptional(folder) { folder in
                unsafe withOptional(hiddenMount) { unsafe body(program, folder, $0) }
            }
        }
    }
}

/// A process of this host, which no other can be taken for: a pidfd, not a number that is used again.
package final class RunningProcess: Sendable {
    /// The process's id: for messages, and for as long as nobody has waited for it.
    package let id: CInt
    private let owned: OwnedDescriptor

    init(id: CInt, adopting pidfd: consuming OwnedDescriptor) {
        self.id = id
        owned = pidfd
    }

    /// Refers to the process that has an id now; the caller knows that it is the right one.
    ///
    /// - Throws: `Errno`; `noSuchProcess` where there is none.
    package init(id: CInt) throws(Errno) {
        self.id = id
        owned = OwnedDescriptor(adopting: try hostCall { chost_pidfd_open(id) })
    }

    /// Readable when the process has ended.
    package var descriptor: FileDescriptor { owned.borrowed }

    package var hasEnded: Bool { waitUntilEnded(timeout: .zero) }

    package func waitUntilEnded(timeout: Duration?) -> Bool {
        !Poll.wait(for: owned.borrowed, .readable, timeout: timeout).isEmpty
    }

    /// Waits for the end of a child of this process, and takes its status: once.
    ///
    /// - Returns: Its exit status, or 128 + the signal that ended it.
    package func takeStatus() -> CInt {
        var status: CInt = 0
        while unsafe waitpid(id, &status, 0) < 0 && errno == EINTR {}
        let signal = status & 0x7f
        return signal == 0 ? status >> 8 & 0xff : 128 | signal
    }

    /// Sends a signal.
    ///
    /// - Throws: `Errno`: `noSuchProcess` where the process has ended, `notPermitted` where it is another user's.
    package func send(_ signal: CInt) throws(Errno) {
        try hostCall { chost_pidfd_signal(owned.rawValue, signal) }
    }
}
