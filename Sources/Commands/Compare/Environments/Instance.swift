// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host

/// A job that runs in an environment.
///
/// In a machine the first process says when things happen, in lines that begin with a mark; they are kept apart from what
/// the program prints.
final class Instance {
    /// The prefix of a line of the machine's first process.
    static let mark: Character = "\u{1e}"

    /// The message of the machine's first process: `i`, `p`, `e` with a number, see guest-images/compare/init.c.
    struct Event {
        let name: String
        let number: Double
        let time: Moment
    }

    let kind: EnvironmentKind
    /// The process of the host that was started: the program, the container's runtime, or the monitor.
    let process: HostProcess
    private(set) var events: [Event] = []
    /// The error inside, in the first process's words.
    private(set) var complaints: [String] = []
    /// The time at which the machine's processor was there, with its kernel in memory.
    private(set) var processorReady: Moment?
    /// Removes what it leaves; nil once that is done.
    private var cleanUp: (() -> Void)?

    init(kind: EnvironmentKind, process: HostProcess, cleanUp: @escaping () -> Void = {}) {
        self.kind = kind
        self.process = process
        self.cleanUp = cleanUp
    }

    deinit {
        end()
    }

    /// The next line that the program prints.
    func readLine(within seconds: Double) throws(ComparisonError) -> HostProcess.Line? {
        let look = kind == .machine && processorReady == nil ? lookForProcessor : nil
        while let line = try process.readLine(within: seconds, looking: look) {
            guard line.text.first == Self.mark else {
                // The kernel's last words share the console, and an echoed line end makes an empty line.
                if kind.isMachine, line.text.isEmpty || Self.isOfKernel(line.text) { continue }
                return line
            }
            let words = line.text.dropFirst().split(separator: " ", maxSplits: 1)
            if words.count == 2, words[0] == "x" { complaints.append(String(words[1])) }
            if words.count == 2, let number = Double(words[1]) {
                events.append(Event(name: String(words[0]), number: number, time: line.time))
            }
        }
        return nil
    }

    /// Returns whether a line is the kernel's: "[   12.104391] reboot: Restarting system".
    private static func isOfKernel(_ line: String) -> Bool {
        let time = line.dropFirst().prefix { $0 != "]" }.drop { $0 == " " }
        return line.hasPrefix("[") && line.has("] ") && time.contains(".") && Double(time) != nil
    }

    /// The next line, which must be there.
    @discardableResult
    func expectLine(_ text: String, within seconds: Double) throws(ComparisonError) -> HostProcess.Line {
        guard let line = try readLine(within: seconds) else {
            // A program that closes its output is about to end, and its end belongs to the explanation.
            try waitForEnd(within: seconds)
            throw .unexpected(explanation(instead: "\"\(text)\""))
        }
        guard line.text.hasPrefix(text) else { throw .unexpected("it said \"\(line.text)\" instead of \"\(text)\"") }
        return line
    }

    /// The reason why nothing came, in the best words that there are.
    func explanation(instead wanted: String) -> String {
        if let complaint = complaints.first { return complaint }
        // The messages of a killed program are about something else.
        if let ending = process.ending, ending.status > 128 { return "it was ended by signal \(ending.status - 128)" }
        // A program that ends well may have printed other things.
        if let ending = process.ending, ending.status != 0, let message = process.lastMessage { return message }
        let status = programStatus.map { " with status \($0)" } ?? ""
        return "it ended\(status) without \(wanted)"
    }

    /// The time of this message of the machine's first process.
    func event(_ name: String) -> Event? {
        events.first { $0.name == name }
    }

    /// The status with which the program ended, as a shell shows it.
    var programStatus: CInt? {
        kind.isMachine ? event("e").map { CInt($0.number) } : process.ending?.status
    }

    @discardableResult
    func waitForEnd(within seconds: Double) throws(ComparisonError) -> HostProcess.Ending {
        let ending = try process.waitForEnd(within: seconds)
        cleanUp.take()?()
        return ending
    }

    /// Ends it now, and removes what it leaves.
    func end() {
        // First what the runtime knows of, while it is there to see it.
        cleanUp.take()?()
        process.kill()
    }

    /// All its processes on the host.
    var processes: [pid_t] { ProcessTable.descendants(of: process.identifier) }

    private func lookForProcessor() -> Bool {
        if processorReady == nil, MachineEnvironment.hasProcessor(process.identifier) { processorReady = .now }
        return processorReady != nil
    }
}
