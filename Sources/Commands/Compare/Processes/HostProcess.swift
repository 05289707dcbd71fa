// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
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

    var identifier: pid_t { process.id }
    let command: [String]
    /// Just before it was started.
    let started: Moment

    private let interruption: Interruption
    private let process: RunningProcess
    private let input: OwnedDescriptor
    private let output: OwnedDescriptor
    private let messages: String
    private var received: [UInt8] = []
    private var lines: [Line] = []
    private var outputHasEnded = false
    private(set) var ending: Ending?

    /// Starts a program.
    ///
    /// `messages` is a file for what it says on standard error. `withoutCGroup2` hides the second of two cgroup hierarchies
    /// from it.
    init(
        _ command: [String],
        messages: String,
        withoutCGroup2: Bool = false,
        interruption: Interruption
    ) throws(ComparisonError) {
        try interruption.check()
        self.command = command
        self.messages = messages
        self.interruption = interruption
        do throws(Errno) {
            let (inputEnds, outputEnds) = (try OwnedDescriptor.makePipe(), try OwnedDescriptor.makePipe())
            let childInput = OwnedDescriptor(adopting: inputEnds.reading)
            input = OwnedDescriptor(adopting: inputEnds.writing)
            output = OwnedDescriptor(adopting: outputEnds.reading)
            let childOutput = OwnedDescriptor(adopting: outputEnds.writing)
            let log = try OwnedDescriptor(opening: FilePath(hostText: messages), O_WRONLY | O_CREAT | O_APPEND)
            var launch = ProcessLaunch(FilePath(command[0]), arguments: Array(command.dropFirst()))
            launch.descriptors = [childInput.borrowed, childOutput.borrowed, log.borrowed]
            launch.endsWithThisThread = true
            launch.hiddenMount = withoutCGroup2 ? "/sys/fs/cgroup/unified" : nil
            started = .now
            process = try launch.start()
        } catch {
            throw .system(operation: "starting \(command[0])", errno: error)
        }
    }

    deinit {
        kill()
    }

    // MARK: - Input and output

    /// Writes to its standard input; what it no longer takes is lost.
    func write(_ text: String) {
        _ = try? input.borrowed.writeSome(Array(text.utf8)[...])
    }

    /// The next line of its output, without its end.
    ///
    /// `look` is called each millisecond until it returns true, for what nothing announces. The answer is `nil` at the output's
    /// end.
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
            if try wait(for: output.borrowed, isLooking ? .milliseconds(1) : .seconds(rest)) { receive() }
        }
        return lines.removeFirst()
    }

    /// Takes output that nobody wants to see.
    ///
    /// - Throws: `ComparisonError`, when the user wants the end.
    func skipOutput(forMilliseconds milliseconds: CInt) throws(ComparisonError) {
        if outputHasEnded {
            _ = try wait(for: process.descriptor, .milliseconds(milliseconds))
        } else if try wait(for: output.borrowed, .milliseconds(milliseconds)) {
            receive()
            lines = []
        }
    }

    private func receive() {
        let bytes = (try? output.borrowed.readSome(limit: 1 << 16)) ?? []
        let time = Moment.now
        guard !bytes.isEmpty else {
            outputHasEnded = true
            return
        }
        received += bytes
        while let end = received.firstIndex(of: UInt8(ascii: "\n")) {
            // A terminal line, as a guest's console is, ends lines with both.
            let line = received[..<end].filter { $0 != UInt8(ascii: "\r") }
            lines.append(Line(text: String(decoding: line, as: UTF8.self), time: time))
            received.removeFirst(end + 1)
        }
    }

    /// Returns whether `descriptor` became readable in time.
    private func wait(for descriptor: FileDescriptor, _ limit: Duration) throws(ComparisonError) -> Bool {
        let answers = Poll.wait(
            for: [(descriptor, .readable), (interruption.descriptor, .readable)],
            timeout: limit
        )
        try interruption.check()
        return !answers[0].isEmpty
    }

    // MARK: - The end

    /// Waits until it ends, and takes no more output.
    @discardableResult
    func waitForEnd(within seconds: Double) throws(ComparisonError) -> Ending {
        let deadline = Moment.now + seconds
        while ending == nil {
            let rest = max(0, deadline - .now)
            guard rest > 0 else { throw .late("the end of \(command.joined(separator: " "))") }
            if try wait(for: process.descriptor, .seconds(rest)) { reap() }
        }
        return ending ?? Ending(status: 127, time: .now, processorSeconds: 0, maximumResidentByteCount: 0)
    }

    /// Indicates whether it has ended, reaped or not.
    var hasEnded: Bool { ending != nil || process.hasEnded }

    /// Ends it and whatever it started, at once, and waits until those are gone that had its output.
    func kill() {
        guard ending == nil else { return }
        // A process that left the process group, as a container's first process does, is only found before its parent ends.
        ProcessTable.kill { ProcessTable.descendants(of: identifier) }
        // The group of a child that was not waited for yet: nobody else can have its number.
        Glibc.kill(-identifier, SIGKILL)
        reap()
        let deadline = Moment.now + 5
        while !outputHasEnded, deadline > .now {
            if !Poll.wait(for: output.borrowed, .readable, timeout: .milliseconds(100)).isEmpty { receive() }
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
