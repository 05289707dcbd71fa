// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Compare
import Glibc
import Host
import Machine
import SystemPackage

/// `martlet compare`: virtual machine against container against process, measured on this host.
struct CompareCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Compare a virtual machine with a container and a process, measured on this host.",
        discussion: """
            The same program runs as a plain process, as an OCI container (crun, else runc), as a virtual machine that boots, \
            and as one that goes on from a snapshot. What is missing on this host leaves its column empty and says why. Topics: \
            \(Topic.allCases.map(\.rawValue).joined(separator: ", ")).
            """
    )

    @Option(help: ArgumentHelp("Measure only these topics, separated by commas.", valueName: "topics"))
    var only: TopicList?

    @Option(name: .customLong("repeat"), help: ArgumentHelp("The number of samples to take.", valueName: "count"))
    var repetitions = 5

    @Option(
        help: ArgumentHelp("Also start this static program in each of them.", valueName: "program"),
        completion: .file()
    )
    var workload: String?

    @Flag(help: "Print everything as JSON, with every sample.")
    var json = false

    @Option(
        help: ArgumentHelp("Also write a page with charts, and the JSON, to this folder.", valueName: "folder"),
        completion: .directory
    )
    var report: String?

    @Option(
        help: ArgumentHelp("The container runtime, by name or path. (default: crun, else runc)", valueName: "runtime"),
        completion: .file()
    )
    var runtime: String?

    mutating func validate() throws {
        guard (1...1000).contains(repetitions) else { throw ValidationError("--repeat takes 1 to 1000.") }
    }

    func run() throws {
        let interruption = try Interruption()
        let progress = ProgressLine()
        do throws(ComparisonError) {
            if let report { try HTMLReport.prepare(report) }
            let comparison = Comparison(options(), interruption: interruption) { progress.show($0) }
            let result = try comparison.run()
            progress.clear()
            if let report { try HTMLReport(result).write(to: report) }
            printAnswer(
                json ? JSONReport(result).text : TerminalReport(result, width: progress.width).text,
                terminator: ""
            )
            if let report { progress.say("the page is \(report)/index.html") }
        } catch {
            progress.clear()
            if case .interrupted(let signal) = error { Terminal.endProcess(bySignal: signal) }
            throw error
        }
    }

    private func options() -> ComparisonOptions {
        // Never a folder that depends on where the command is typed: programs in it are run.
        var images: FilePath = "/nonexistent"
        let machine: Result<MachineImages, ComparisonError>
        do {
            let guest = try DefaultGuest.find(vcpuCount: 1)
            images = guest.kernel.parent
            let monitor = MachineImages(
                monitor: ProcessArguments.executable?.string ?? "/proc/self/exe",
                kernel: guest.kernel.string,
                parameters: guest.parameters
            )
            machine = .success(monitor)
        } catch {
            machine = .failure(.unexpected("\(error)"))
        }
        var options = ComparisonOptions(
            images: images.string,
            machine: machine,
            interpretsGuestKernels: InterpretedHost.isThisHost,
            martletVersion: MartletCommand.configuration.version
        )
        options.repetitions = repetitions
        options.workload = workload
        options.runtime = runtime
        if let only { options.topics = only.topics }
        return options
    }
}

/// Topics, as users name them: `startup,memory`.
struct TopicList: ExpressibleByArgument {
    let topics: [Topic]

    init?(argument: String) {
        let words = argument.split(separator: ",").map(String.init)
        let topics = words.compactMap(Topic.init(rawValue:))
        guard !words.isEmpty, topics.count == words.count else { return nil }
        self.topics = Topic.allCases.filter(topics.contains)
    }
}

/// One line of progress on standard error, while that is a terminal; else a line for each step.
final class ProgressLine {
    private let isTerminal = isatty(STDERR_FILENO) == 1

    func show(_ text: String) {
        write(isTerminal ? "\r\u{1b}[K" + text.prefix(width - 1) : "martlet: \(text)\n")
    }

    /// A line that stays.
    func say(_ text: String) {
        write("martlet: \(text)\n")
    }

    func clear() {
        if isTerminal { write("\r\u{1b}[K") }
    }

    /// The number of the terminal's columns; 100 where there is none.
    var width: Int {
        Terminal.size(of: .standardOutput).map { Int($0.columns) } ?? 100
    }

    private func write(_ text: String) {
        // Nobody could read a message where standard error is closed.
        _ = try? FileDescriptor.standardError.writeAll(text.utf8)
    }
}
