// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A program that runs, its standard input and error closed off, its time measured from just before its start.
final class ChildProcess {
    /// Whoever needs longer for one step has hung.
    private static let patienceSeconds = 300.0

    let identifier: pid_t
    private let command: Command
    private let started: Double
    /// The end of the pipe from which its output comes, or -1.
    private let output: CInt
    private var hasEnded = false
    private var received: [UInt8] = []

    init(_ command: Command) throws {
        var ends: [CInt] = [-1, -1]
        if command.output == .piped {
            guard unsafe pipe(&ends) == 0 else { throw BenchmarkError(errno: errno, of: "pipe") }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        }
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        unsafe posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0)
        switch command.output {
        case .discarded: unsafe posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
        case .piped: unsafe posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
        }
        var identifier: pid_t = 0
        var arguments = unsafe ([command.path] + command.arguments).map { unsafe strdup($0) } + [nil]
        defer { unsafe arguments.forEach { unsafe free($0) } }
        started = monotonicSeconds()
        let error = unsafe posix_spawnp(&identifier, command.path, &actions, nil, &arguments, environ)
        if ends[1] >= 0 { close(ends[1]) }
        output = ends[0]
        self.command = command
        self.identifier = identifier
        hasEnded = error != 0
        guard error == 0 else { throw BenchmarkError(errno: error, of: "starting \(command.path)") }
    }

    deinit {
        if !hasEnded {
            kill(identifier, SIGKILL)
            waitpid(identifier, nil, 0)
        }
        if output >= 0 { close(output) }
    }

    /// Waits until the output contains `text`.
    ///
    /// - Returns: The seconds since the start.
    /// - Throws: When the output ends before, or nothing comes for too long.
    @discardableResult
    func waitForOutput(_ text: String) throws -> Double {
        let wanted = Array(text.utf8)
        while true {
            guard try receive() else {
                let tail = String(decoding: received.suffix(300), as: UTF8.self)
                throw BenchmarkError("\(command) ended its output before \"\(text)\"; its last words: \(tail)")
            }
            let time = monotonicSeconds() - started
            if contains(wanted) { return time }
        }
    }

    /// Waits until the process ends.
    func waitForEnd() throws -> ProcessUsage {
        while output >= 0, try receive() {}
        var status: CInt = 0
        var usage = rusage()
        guard unsafe wait4(identifier, &status, 0, &usage) == identifier else {
            throw BenchmarkError(errno: errno, of: "wait4")
        }
        let wall = monotonicSeconds() - started
        hasEnded = true
        let signal = status & 0x7f
        return ProcessUsage(
            wallSeconds: wall,
            processorSeconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
            userSeconds: seconds(usage.ru_utime),
            status: signal == 0 ? status >> 8 & 0xff : 128 + signal
        )
    }

    /// Ends the process.
    func terminate() throws -> ProcessUsage {
        kill(identifier, SIGKILL)
        return try waitForEnd()
    }

    /// All output that has come so far.
    func takeOutput() -> [UInt8] {
        defer { received = [] }
        return received
    }

    /// Takes what has come from the pipe, or waits for it.
    ///
    /// - Returns: False at its end.
    private func receive() throws -> Bool {
        var polled = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
        guard unsafe poll(&polled, 1, CInt(Self.patienceSeconds * 1000)) > 0 else {
            throw BenchmarkError("nothing came from \(command) for \(Int(Self.patienceSeconds)) s")
        }
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = unsafe read(output, &buffer, buffer.count)
        guard count > 0 else { return false }
        received += buffer.prefix(count)
        return true
    }

    private func contains(_ wanted: [UInt8]) -> Bool {
        guard received.count >= wanted.count else { return false }
        return (0...received.count - wanted.count).contains { received[$0...].starts(with: wanted) }
    }
}

/// Time that nobody sets.
private func monotonicSeconds() -> Double {
    var now = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) * 1e-9
}

private func seconds(_ time: timeval) -> Double {
    Double(time.tv_sec) + Double(time.tv_usec) * 1e-6
}
