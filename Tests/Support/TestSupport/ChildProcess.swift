// SPDX-License-Identifier: Apache-2.0

package import Glibc
import Host
import Synchronization

/// A program that a test runs; it never outlives the value that stands for it.
package final class ChildProcess {
    /// The end of a process.
    package enum Termination: Hashable, Sendable {
        case exited(CInt)
        case signaled(CInt)
    }

    /// The other end of one of the child's standard descriptors.
    package enum Descriptor {
        /// A copy of a descriptor of this process.
        case copy(CInt)
        /// A file that the child opens; a terminal becomes its controlling one.
        case file(String, flags: CInt = O_RDWR)
        case closed

        package static var null: Self { .file("/dev/null") }
    }

    /// The process id, which is also the id of its session.
    package let id: pid_t
    private var termination: Termination?

    /// Starts `program` as the leader of a session of its own, with no signal blocked or ignored.
    ///
    /// - Parameters:
    ///   - program: The path of the program.
    ///   - arguments: What follows its name.
    ///   - environment: Added to this process's own.
    ///   - descriptors: Standard input, output and error.
    /// - Throws: `SystemCallFailure`.
    package init(
        _ program: String,
        _ arguments: [String] = [],
        environment: [String: String] = [:],
        descriptors: [Descriptor]
    ) throws {
        Self.prepareThisProcess
        var actions = unsafe posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        unsafe posix_spawn_file_actions_init(&actions)
        unsafe posix_spawnattr_init(&attributes)
        defer {
            unsafe posix_spawn_file_actions_destroy(&actions)
            unsafe posix_spawnattr_destroy(&attributes)
        }
        for (target, descriptor) in descriptors.enumerated() {
            let target = CInt(target)
            switch descriptor {
            case .copy(let source): unsafe posix_spawn_file_actions_adddup2(&actions, source, target)
            case .file(let path, let flags): unsafe posix_spawn_file_actions_addopen(&actions, target, path, flags, 0)
            case .closed: unsafe posix_spawn_file_actions_addclose(&actions, target)
            }
        }
        // A thread of this process may block signals, and a child would inherit that.
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe posix_spawnattr_setsigmask(&attributes, &signals)
        unsafe sigfillset(&signals)
        unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
        let setSession: CInt = 0x80  // POSIX_SPAWN_SETSID, which glibc has behind _GNU_SOURCE only
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | setSession))

        var id: pid_t = 0
        let variables = Self.environment.merging(environment) { $1 }.map { "\($0)=\($1)" }
        let error = descriptorLock.withLock { _ in
            unsafe withCStrings([program] + arguments) { arguments in
                unsafe withCStrings(variables) { variables in
                    unsafe posix_spawn(&id, program, &actions, &attributes, arguments, variables)
                }
            }
        }
        guard error == 0 else { throw SystemCallFailure("starting \(program)", errno: error) }
        self.id = id
    }

    deinit { end() }

    /// Indicates whether its end is known: `wait` has returned.
    package var hasEnded: Bool { termination != nil }

    // MARK: - Signals

    /// Sends a signal, unless the process is known to have ended.
    package func send(_ signal: CInt) {
        if termination == nil { kill(id, signal) }
    }

    /// Kills and reaps the process, if that is still to be done.
    package func end() {
        guard termination == nil else { return }
        kill(id, SIGKILL)
        var status: CInt = 0
        while unsafe waitpid(id, &status, 0) < 0 && errno == EINTR {}
        termination = Self.termination(status) ?? .signaled(SIGKILL)
    }

    // MARK: - Waiting

    /// Waits until the process has ended.
    ///
    /// - Throws: `MissedDeadline`.
    package func wait(within duration: Duration = Deadline.standard) throws -> Termination {
        var result = termination
        try Deadline.wait(for: "the end of the process", within: duration) {
            if result == nil {
                var status: CInt = 0
                if unsafe waitpid(id, &status, WNOHANG) == id { result = Self.termination(status) }
            }
            return result != nil
        }
        termination = result
        // Set by now: the wait throws otherwise.
        return result ?? .signaled(0)
    }

    /// Waits until the process is stopped, as by Ctrl-Z.
    ///
    /// - Throws: `MissedDeadline`.
    package func waitUntilStopped() throws {
        try Deadline.wait(for: "the process to stop") {
            var status: CInt = 0
            guard unsafe waitpid(id, &status, WNOHANG | WUNTRACED) == id else { return false }
            termination = Self.termination(status)
            guard termination == nil else { throw MissedDeadline("the process to stop: it ended") }
            return true
        }
    }

    private static func termination(_ status: CInt) -> Termination? {
        // WIFEXITED and the others are macros that Swift does not see (bits/waitstatus.h).
        let signal = status & 0x7f
        if signal == 0x7f { return nil }
        return signal == 0 ? .exited(status >> 8 & 0xff) : .signaled(signal)
    }

    // MARK: - Looking

    /// The processes of the child's session, itself included while it runs.
    package var session: [pid_t] {
        let names = (try? FolderListing.names(in: "/proc")) ?? []
        return names.compactMap { pid_t($0) }.filter { getsid($0) == id }
    }

    // MARK: - This process

    /// Writing to a child that has gone must not end the tests, and one that crashes on purpose leaves no core file.
    fileprivate static let prepareThisProcess: Void = {
        _ = signal(SIGPIPE, SIG_IGN)
        var limit = rlimit()
        unsafe getrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit)
        limit.rlim_cur = 0
        unsafe setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit)
    }()

    private static var environment: [String: String] {
        var variables: [String: String] = [:]
        var next = unsafe environ
        while let entry = unsafe next.pointee {
            let variable = unsafe String(cString: entry)
            if let equals = variable.firstIndex(of: "=") {
                variables[String(variable[..<equals])] = String(variable[variable.index(after: equals)...])
            }
            unsafe next += 1
        }
        return variables
    }
}

/// Calls `body` with `strings` as the C array that ends with a null pointer.
private func withCStrings<R>(
    _ strings: [String],
    _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R
) -> R {
    let copies = unsafe strings.map { unsafe strdup($0) } + [nil]
    defer { unsafe copies.forEach { unsafe free($0) } }
    return unsafe copies.withUnsafeBufferPointer { buffer in
        guard let base = buffer.baseAddress else { preconditionFailure("an array with an element has an address") }
        return unsafe body(base)
    }
}

/// Held while a pipe is not yet closed on exec, and while a child is started: an end that leaks into another child
/// would keep the pipe open.
private let descriptorLock = Mutex<Void>(())

/// A pipe whose two ends are closed on exec.
package struct Pipe {
    package let readEnd: CInt
    package let writeEnd: CInt

    package init() throws {
        ChildProcess.prepareThisProcess
        var ends: [CInt] = [-1, -1]
        try descriptorLock.withLock { _ in
            try checked("pipe", unsafe pipe(&ends))
            for end in ends { try checked("fcntl", fcntl(end, F_SETFD, FD_CLOEXEC)) }
        }
        (readEnd, writeEnd) = (ends[0], ends[1])
    }
}
