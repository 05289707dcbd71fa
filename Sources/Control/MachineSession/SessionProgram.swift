// SPDX-License-Identifier: Apache-2.0

import Console
import Glibc
import GuestAgent
import Host
import JSON
import MachineAPI
import MachineModel
import Synchronization
import SystemPackage

/// The program that a machine of this process runs, and ends with.
final class SessionProgram: ServedProgram {
    /// The signals of this process that are the program's, where it has this process's streams.
    private static let passedSignals = [SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM, SIGALRM, SIGWINCH]

    private let program: MachineProgram
    /// The machine's console as the program's streams; `nil` where it has this process's.
    private let console: ProgramConsole?
    private let signals: ProgramRun.Signals
    private let outcome = Mutex<Result<WaitStatus, AgentError>?>(nil)
    private let isRunning = Atomic<Bool>(false)
    private let thread: GuestThread

    /// Prepares a run.
    ///
    /// `console` is the one that the program's streams are; `nil` for this process's streams and signals.
    init(_ program: MachineProgram, console: MachineConsole?) throws {
        (self.program, signals, thread) = (program, try ProgramRun.Signals(), try GuestThread())
        self.console = try console.map { console throws(Errno) in try ProgramConsole(console) }
        guard console == nil else { return }
        // Before the boot: a signal that comes early waits for the program.
        try SignalWatch(Self.passedSignals) { [signals] in signals.send($0) }
    }

    /// The end of the machine's console that is the program's.
    var port: (any ConsolePort)? { console }

    var json: JSONValue {
        guard case .object(var object) = try? JSONValue(encoding: program.header) else { return .null }
        object["running"] = .bool(isRunning.load(ordering: .acquiring))
        return .object(object)
    }

    func stop() { signals.send(program.header.stopSignal) }

    func resizeTerminal(to size: Terminal.Size) -> Bool {
        guard let console, program.header.hasTerminal else { return false }
        console.setWindowSize(size)
        signals.send(SIGWINCH)
        return true
    }

    // MARK: - Its thread

    /// Makes the thread that serves the program, which waits for the machine's start.
    ///
    /// `prepare` is called on the thread when the machine has started; `onEnd` when the program has ended or cannot run: the
    /// machine is to end.
    func makeThread(
        prepare: @escaping @Sendable () -> Void,
        onEnd: @escaping @Sendable () -> Void
    ) throws(HostThreadError) {
        try thread.make("program") { [self] path in
            prepare()
            let result = Result { () throws(AgentError) in try serve(path) }
            outcome.withLock { $0 = $0 ?? result }
            onEnd()
        }
    }

    /// Starts the program in the guest, which may still boot.
    func start(over socket: FilePath) { thread.start(over: socket) }

    /// Waits for the thread, when the machine has ended.
    func join() { thread.join() }

    private func serve(_ path: FilePath) throws(AgentError) -> WaitStatus {
        let connection = try thread.connect(over: path)
        let header = program.header
        let input: (any ProgramStream)? = header.hasInput ? console?.input ?? FileDescriptor.standardInput : nil
        let run =
            if let console {
                ProgramRun(
                    connection,
                    input: input,
                    output: console.output,
                    errorOutput: console.output,
                    signals: signals
                )
            } else {
                ProgramRun(connection, input: input, signals: signals)
            }
        return try run.run(program) { [self] in
            isRunning.store(true, ordering: .releasing)
            guard console == nil, header.hasTerminal, Terminal.isTerminal(.standardInput) else { return }
            try? Terminal.enterRawMode(.standardInput)
            // The terminal may have another size by now.
            signals.send(SIGWINCH)
        }
    }

    // MARK: - Its end

    func end(with result: MachineResult) -> MachineResult {
        thread.noteEnd()
        // The thread may still report that the connection broke off, which the end of the machine does to it.
        let outcome = outcome.withLock { outcome in
            let known = outcome
            outcome = outcome ?? .failure(.hungUp)
            return known
        }
        switch outcome {
        case .success(let status): return MachineResult(outcome: "exited", exitStatus: status.exitStatus)
        // The machine's own end says more.
        case .failure(.hungUp), .failure(.unreachable), nil:
            return MachineResult(
                outcome: result.outcome,
                exitStatus: result.outcome == "stopped" && outcome?.failureText == nil ? 128 | UInt8(SIGKILL) : 125,
                message: outcome.flatMap(\.failureText) ?? result.message ?? "the guest ended before its program did"
            )
        case .failure(let error):
            return MachineResult(outcome: "failed", exitStatus: error.exitStatus, message: "\(error)")
        }
    }
}

extension Result where Failure == AgentError {
    /// The words of an error that is not merely the end of the machine.
    fileprivate var failureText: String? {
        if case .failure(let error) = self, error != .hungUp { "\(error)" } else { nil }
    }
}
