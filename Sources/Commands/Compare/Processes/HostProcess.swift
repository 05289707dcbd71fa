// SPDX-License-Identifier: Apache-2.0

import CCompare
import Glibc
import SystemPackage

/// A program that runs on the host, never longer than the value that stands for it.
final class HostProcess {
    /// A line of its output, and when it came.
    struct Line {
        let text: String
        let time: Moment
    }

    /// Its end, and the time and memory that it took.
    struct Ending {
        /// As a shell shows it: 128 and more for a signal.
        let status: CInt
        let time: Moment
        /// User and kernel mode, with all of its children that it waited for.
        let processorSeconds: Double
        let maximumResidentByteCount: Double
    }

    let identifier: pid_t
    let command: [String]
    /// Just before it was started.
    let started: Moment

    private let interruption: Interruption
    private let input: CInt
    private let output: CInt
    private let pidfd: CInt
    private let messages: String
    private var received: [UInt8] = []
    private var lines: [Line] = []
    private var outputHasEnded = false
    private(set) var ending: Ending?

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - command: The program's path and its arguments.
    ///   - messages: A file for what it says on standard error.
    ///   - withoutCGroup2: In a mount namespace without the second of two cgroup hierarchies.
    ///   - interruption: Ends every wait.
    /// - Throws: `ComparisonError`.
    init(
        _ command: [String],
        messages: String,
        withoutCGroup2: Bool = false,
        interruption: Interruption
    ) throws(ComparisonError) {
        try interruption.check()
        var toChild: [CInt] = [-1, -1]
        var fromChild: [CInt] = [-1, -1]
        try checked("making a pipe", unsafe ccompare_pipe(&toChild))
        defer { close(toChild[0]) }
        do throws(ComparisonError) {
            try checked("making a pipe", unsafe ccompare_pipe(&fromChild))
        } catch {
            close(toChild[1])
            throw error
        }
        defer { close(fromChild[1]) }
        (input, output) = (toChild[1], fromChild[0])
        self.command = command
        self.messages = messages
        self.interruption = interruption
        let log = unsafe open(messages, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        defer { if log >= 0 { close(log) } }
        var arguments = unsafe command.map { unsafe strdup($0) } + [nil]
        defer { unsafe arguments.forEach { unsafe free($0) } }
        started = .now
        let descriptors = [toChild[0], fromChild[1], log]
        let result = unsafe ccompare_spawn(command[0], &arguments, descriptors, withoutCGroup2)
        identifier = result
        pidfd = result > 0 ? ccompare_pidfd(result) : -1
        guard result > 0 else {
            ending = Ending(status: 127, time: started, processorSeconds: 0, maximumResidentByteCount: 0)
            throw .system(operation: "starting \(command[0])", errno: Errno(rawValue: -result))
        }
    }

    deinit {
        kill()
        close(input)
        close(output)
        if pidfd >= 0 { close(pidfd) }
    }

    // MARK: - Input and output

    /// Writes to its standard input; what it no longer takes is lost.
    func write(_ text: String) {
        var bytes = Array(text.utf8)
        _ = unsafe Glibc.write(input, &bytes, bytes.count)
    }

    /// The next line of its output, without its end.
    ///
    /// - Parameters:
    ///   - seconds: How long to wait at most.
    ///   - look: Called each millisecond until it returns true, for what nothing announces.
    /// - Returns: The line, or `nil` at the output's end.
    /// - Throws: `ComparisonError`, also when the user wants the end.
    func readLine(within seconds: Double, looking look: (() -> Bool)? = nil) throws(ComparisonError) -> Line? {
        let deadline = Moment.now + seconds
        var isLooking = look != nil
        while lines.isEmpty {
            if outputHasEnded {
                defer { received = [] }
                return received.isEmpty ? nil : Line(text: String(decoding: received, as: UTF8.self), time: .now)
            }
            if isLooking, let look { isLooking = !look() }
            let rest = max(0, deadline - .now)
            guard rest > 0 else { throw .late("the output of \(command.joined(separator: " "))") }
            if try wait(for: output, milliseconds: isLooking ? 1 : CInt(min(rest * 1000 + 1, 1e6))) { receive() }
        }
        return lines.removeFirst()
    }

    /// Takes output that nobody wants to see.
    ///
    /// - Parameter milliseconds: How long to wait for it.
    /// - Throws: `ComparisonError`, when the user wants the end.
    func skipOutput(forMilliseconds milliseconds: CInt) throws(ComparisonError) {
        if outputHasEnded {
            _ = try wait(for: pidfd, milliseconds: milliseconds)
        } else if try wait(for: output, milliseconds: milliseconds) {
            receive()
            lines = []
        }
    }

    /// Takes what is there.
    private func receive() {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = unsafe read(output, &buffer, buffer.count)
        let time = Moment.now
        guard count > 0 else {
            outputHasEnded = true
            return
        }
        received += buffer.prefix(count)
        while let end = received.firstIndex(of: UInt8(ascii: "\n")) {
            // A terminal line, as a guest's console is, ends lines with both.
            let line = received[..<end].filter { $0 != UInt8(ascii: "\r") }
            lines.append(Line(text: String(decoding: line, as: UTF8.self), time: time))
            received.removeFirst(end + 1)
        }
    }

    /// Returns whether `descriptor` became readable in time.
    private func wait(for descriptor: CInt, milliseconds: CInt) throws(ComparisonError) -> Bool {
        var set = [
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: interruption.descriptor, events: Int16(POLLIN), revents: 0),
        ]
        let count = unsafe poll(&set, 2, milliseconds)
        try interruption.check()
        return count > 0 && set[0].revents != 0
    }

    // MARK: - The end

    /// Waits until it ends, and takes no more output.
    ///
    /// - Parameter seconds: How long to wait at most.
    /// - Returns: The outcome.
    /// - Throws: `ComparisonError`, also when the user wants the end.
    @discardableResult
    func waitForEnd(within seconds: Double) throws(ComparisonError) -> Ending {
        let deadline = Moment.now + seconds
        while ending == nil {
            let rest = max(0, deadline - .now)
            guard rest > 0 else { throw .late("the end of \(command.joined(separator: " "))") }
            if try wait(for: pidfd, milliseconds: CInt(min(rest * 1000 + 1, 1e6))) { reap() }
        }
        return ending ?? Ending(status: 127, time: .now, processorSeconds: 0, maximumResidentByteCount: 0)
    }

    /// Indicates whether it has ended, reaped or not.
    var hasEnded: Bool {
        var set = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
        return unsafe ending != nil || poll(&set, 1, 0) > 0
    }

    /// Ends it and whatever it started, at once, and waits until those are gone that had its output.
    func kill() {
        guard ending == nil, identifier > 0 else { return }
        // A process that left the process group, as a container's first process does, is only found before its parent ends.
        ProcessTable.kill { ProcessTable.descendants(of: identifier) }
        // The group of a child that was not waited for yet: nobody else can have its number.
        Glibc.kill(-identifier, SIGKILL)
        reap()
        let deadline = Moment.now + 5
        while !outputHasEnded, deadline > .now {
            var set = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
            if unsafe poll(&set, 1, 100) > 0 { receive() }
        }
    }

    private func reap() {
        guard ending == nil else { return }
        var status: CInt = 0
        var usage = rusage()
        let time = Moment.now
        while unsafe wait4(identifier, &status, 0, &usage) < 0, errno == EINTR {}
        let signal = status & 0x7f
        ending = Ending(
            status: signal == 0 ? status >> 8 & 0xff : 128 + signal,
            time: time,
            processorSeconds: usage.ru_utime.seconds + usage.ru_stime.seconds,
            maximumResidentByteCount: Double(usage.ru_maxrss) * 1024
        )
    }

    /// The last line that it wrote to standard error, to say what went wrong.
    var lastMessage: String? {
        (try? Files.text(messages))?.split(separator: "\n").last.map(String.init)
    }
}

extension timeval {
    fileprivate var seconds: Double { Double(tv_sec) + Double(tv_usec) * 1e-6 }
}
