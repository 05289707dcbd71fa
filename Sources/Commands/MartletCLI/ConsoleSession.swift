// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc
import Host
import Machine
import Synchronization
import SystemPackage

/// One run of a machine from a terminal, pipe or script: console, signals, and what the user is told.
final class ConsoleSession: Sendable {
    /// How long output may still be written after a signal: for a reader that is merely slow.
    private static let grace = DispatchTimeInterval.seconds(1)

    private let attachment: ConsoleAttachment
    private let isRaw: Bool
    /// The signal by which this process is to end, or 0.
    private let signal = Atomic<CInt>(0)

    /// - Throws: `Errno` where the console's file cannot be opened.
    init(_ console: ConsoleOption, escape: EscapeKey) throws {
        let input = FileDescriptor.standardInput
        var attachment = ConsoleAttachment()
        switch console {
        case .stdio:
            attachment = ConsoleAttachment(output: .standardOutput, input: input)
        case .file(let path):
            do {
                attachment.output = try FileDescriptor.open(
                    path,
                    .writeOnly,
                    options: [.create, .truncate, .closeOnExec],
                    permissions: [.ownerReadWrite, .groupRead, .otherRead]
                )
            } catch let errno as Errno {
                throw ConsoleFileError(path: path, errno: errno)
            }
            // Who watches a file cannot see what they type: a terminal stays what it is, and Ctrl-C ends Martlet.
            if !Terminal.isTerminal(input) { attachment.input = input }
        case .none:
            break
        }
        isRaw = attachment.input != nil && Terminal.isTerminal(input)
        if isRaw { attachment.filter = escape.filter }
        self.attachment = attachment
    }

    struct ConsoleFileError: Error, CustomStringConvertible {
        let path: FilePath
        let errno: Errno
        var description: String { "cannot open \(path) for the console: \(errno)" }
    }

    /// Runs the machine to its end, and says what the user should know.
    ///
    /// - Returns: How it ended; does not return when a signal ended it.
    /// - Throws: What keeps it from starting.
    func run(_ configuration: MachineConfiguration, messages: MessageOutput) throws -> MachineOutcome {
        try MessageQueue.standardError.start()
        defer { Self.sayLastWords() }
        let machine = try VirtualMachine(configuration, console: attachment, logger: messages.logger) {
            [weak self] event in
            self?.handle(event, messages)
        }
        for note in machine.notes { messages.write(note) }
        if let note = HostNote.current(configuration) { messages.write(note) }
        // Before the first signal can come: a machine that is stopped before it starts ends at once when it does.
        machineToStop.withLock { $0 = machine }
        try SignalWatch([SIGINT, SIGTERM, SIGHUP, SIGQUIT]) { [weak self] signal in self?.end(by: signal) }
        if isRaw {
            messages.write(startLine)
            try Terminal.enterRawMode(.standardInput)
        }
        try machine.start()
        let outcome = machine.waitUntilEnded()
        Terminal.restore()
        if machine.droppedConsoleByteCount > 0 {
            messages.write("\(machine.droppedConsoleByteCount) bytes of console output were lost: nothing took them")
        }
        let signal = signal.load(ordering: .sequentiallyConsistent)
        if signal != 0 {
            Self.sayLastWords()
            Terminal.endProcess(bySignal: signal)
        }
        if let message = outcome.message { messages.write(message) }
        for path in machine.unusedDisks where outcome != .stopped {
            messages.write(
                "the guest never used \(path): its kernel may lack CONFIG_VIRTIO_MMIO or CONFIG_VIRTIO_BLK (a module will do)"
            )
        }
        return outcome
    }

    private static func sayLastWords() {
        MessageQueue.standardError.flush(within: .seconds(1))
    }

    private let machineToStop = Mutex<VirtualMachine?>(nil)

    private var startLine: String {
        let filter = attachment.filter
        guard filter.prefix != nil else { return "the console is on this terminal, all keys are the guest's" }
        return "the console is on this terminal: \(filter.prefixName) x stops the machine, \(filter.prefixName) h helps"
    }

    // MARK: - Signals and events

    private func end(by signal: CInt) {
        _ = self.signal.compareExchange(expected: 0, desired: signal, ordering: .sequentiallyConsistent)
        machineToStop.withLock { $0 }?.stop(outputGrace: Self.grace)
    }

    private func handle(_ event: MachineEvent, _ messages: MessageOutput) {
        switch event {
        case .command(.help): messages.write("console commands:\n" + attachment.filter.help)
        case .command(.rescanDisks):
            let changed = machineToStop.withLock { $0 }?.rescanDisks() ?? []
            let what = changed.isEmpty ? "no disk has another size" : changed.map(\.string).joined(separator: ", ")
            messages.write(changed.isEmpty ? what : "new size: \(what)")
        case .command(.detach):
            messages.write("this machine ends with this terminal: one that has a --name can be left")
        case .command: break
        // Under nohup the guest goes on without its terminal.
        case .consoleHangUp: if !ProcessStart.isIgnored(SIGHUP) { end(by: SIGHUP) }
        case .consoleFailed(.brokenPipe): end(by: SIGPIPE)
        case .consoleFailed(let errno):
            if Terminal.isTerminal(.standardOutput), errno == .ioError, !ProcessStart.isIgnored(SIGHUP) {
                return end(by: SIGHUP)
            }
            messages.write("the console's output cannot be written: \(errno); the guest goes on without")
        }
    }
}
