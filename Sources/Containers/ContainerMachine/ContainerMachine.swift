// SPDX-License-Identifier: Apache-2.0

import Console
import Glibc
package import GuestAgent
import Host
import Machine
package import MachineAPI
package import MachineModel
import Synchronization
package import SystemPackage

/// A machine in this process that runs one program of a container and ends with it.
///
/// This process is the program, as others see it: it has the program's streams, passes signals on and ends with its status.
package final class ContainerMachine: Sendable {
    /// The signals that are the program's.
    private static let passedSignals = [SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM, SIGALRM, SIGWINCH]

    private let configuration: MachineConfiguration
    private let program: GuestProgram
    private let input: FileDescriptor?
    private let log: MonitorLog
    private let report: @Sendable (String) -> Void

    private let outcome = Mutex<Result<WaitStatus, AgentError>?>(nil)
    private let hasEnded = Atomic<Bool>(false)

    /// - Parameters:
    ///   - configuration: The machine, with a vsock.
    ///   - program: The program.
    ///   - input: Standard input, or the terminal; `nil` for none.
    ///   - log: Takes the machine's messages.
    ///   - report: Takes a line for the user.
    package init(
        _ configuration: MachineConfiguration,
        _ program: GuestProgram,
        input: FileDescriptor?,
        log: MonitorLog,
        report: @escaping @Sendable (String) -> Void
    ) {
        (self.configuration, self.program, self.input) = (configuration, program, input)
        (self.log, self.report) = (log, report)
    }

    /// Runs the machine and its program to their end.
    ///
    /// - Returns: The exit status: the program's, 128 + the signal that ended it, 127 or 126 where it cannot be run, 125 where
    ///   the machine failed.
    /// - Throws: What keeps the machine from starting.
    package func run() throws -> UInt8 {
        let signals = try ProgramRun.Signals()
        // Before the boot: a signal that comes early waits for the program.
        try SignalWatch(Self.passedSignals) { signals.send($0) }
        let service = MachineService(
            identifier: "container",
            attachment: ConsoleAttachment(),
            console: nil,
            log: log,
            onEnd: { _ in }
        )
        try service.configure(configuration)
        try service.start()
        let thread = try HostThread("container") { [self] in
            let result = Result { () throws(AgentError) in try serve(signals) }
            outcome.withLock { $0 = result }
            service.stop(outputGrace: Duration.zero)
        }
        let end = service.waitUntilEnded()
        hasEnded.store(true, ordering: .releasing)
        thread.join()
        Terminal.restore()
        switch outcome.withLock({ $0 }) {
        case .success(let status): return status.exitStatus
        case .failure(let error):
            let isMachine = error == .hungUp || error.isUnreachable
            report(isMachine ? end?.message ?? "\(error)" : "\(error)")
            return error.exitStatus
        case nil: return 125
        }
    }

    private func serve(_ signals: ProgramRun.Signals) throws(AgentError) -> WaitStatus {
        guard let path = configuration.vsock?.path else { throw .unreachable("the machine has no vsock") }
        let connection = try AgentConnection(to: FilePath(hostText: path), patience: .seconds(600)) { [self] in
            !hasEnded.load(ordering: .acquiring)
        }
        return try ProgramRun(connection, input: input, signals: signals).run(program) { [self] in
            guard program.hasTerminal, let input, Terminal.isTerminal(input) else { return }
            try? Terminal.enterRawMode(input)
        }
    }
}
