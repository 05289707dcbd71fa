// SPDX-License-Identifier: Apache-2.0

package import Dispatch
import HTTP
package import JSON
import Logging
package import Machine
import Synchronization
package import SystemPackage

/// One machine behind its REST API: configured first, started once, then watched and directed.
///
/// Requests come from the server's thread, one at a time; what takes long is answered from a thread of the machine's.
package final class MachineService: Sendable {
    struct State {
        var resources = MachineResources()
        var logger: LoggerSettings?
        var metrics: MetricsSettings?
        var machine: VirtualMachine?
        var startedAt: Timestamp?
        var outcome: MachineOutcome?
        /// Stopped before there was a machine.
        var isAbandoned = false
        /// Who waits for the end.
        var waiters: [HTTPResponder] = []
        /// Where the guest's output goes besides, open for as long as the machine runs.
        var outputFile: OutputFile?
    }

    package let identifier: String
    let console: ConsoleHub
    let log: MonitorLog
    let logger: Logger
    private let attachment: ConsoleAttachment
    private let metricsFile = MetricsFile()
    private let state = Mutex(State())
    private let ended = DispatchGroup()
    private let onEnd: @Sendable (MachineOutcome) -> Void
    private let onEvent: @Sendable (MachineEvent) -> Void

    /// - Parameters:
    ///   - identifier: What the machine is called.
    ///   - attachment: Where the console leads, with a hub.
    ///   - console: The hub.
    ///   - log: Where messages go.
    ///   - onEvent: Called from the machine's threads; must not block.
    ///   - onEnd: Called once, from a thread of the machine's, before those who wait for the end are told.
    package init(
        identifier: String,
        attachment: ConsoleAttachment,
        console: ConsoleHub,
        log: MonitorLog,
        onEvent: @escaping @Sendable (MachineEvent) -> Void = { _ in },
        onEnd: @escaping @Sendable (MachineOutcome) -> Void
    ) {
        self.identifier = identifier
        var attachment = attachment
        attachment.hub = console
        (self.attachment, self.console, self.log, self.onEnd, self.onEvent) = (attachment, console, log, onEnd, onEvent)
        logger = log.logger
        ended.enter()
    }

    // MARK: - Life

    /// Whether the machine was started.
    package var isStarted: Bool {
        state.withLock { $0.machine != nil }
    }

    /// Takes over what a configuration file says.
    ///
    /// - Parameter path: A file as Firecracker's `--config-file` has it.
    /// - Throws: `APIError`, in words.
    package func configure(file path: FilePath) throws(APIError) {
        let file = try ConfigurationFile(path: path)
        if let logger = file.logger { try set(logger) }
        if let metrics = file.metrics { try set(metrics) }
        change { $0.resources = file.resources }
    }

    /// Makes the machine and lets it run.
    ///
    /// - Throws: `APIError`, in words; the configuration may be changed then, and tried again.
    package func start() throws(APIError) {
        let resources = state.withLock { $0.resources }
        let configuration = try resources.configuration()
        var attachment = attachment
        attachment.outputLimit = resources.serial?.rateLimit
        var outputFile: OutputFile?
        if let path = resources.serial?.outputPath {
            let file = try OutputFile(path: path)
            attachment.output = file.descriptor
            attachment.input = nil
            outputFile = file
        }
        let machine: VirtualMachine
        do throws(MachineError) {
            machine = try VirtualMachine(configuration, console: attachment, logger: logger, onEvent: onEvent)
        } catch {
            throw APIError("\(error)")
        }
        for note in machine.notes { logger.info("\(note)") }
        try state.withLock { state throws(APIError) in
            guard !state.isAbandoned else { throw APIError("Martlet is about to end.") }
            state.machine = machine
            state.startedAt = .now
            state.outputFile = outputFile
        }
        machine.whenEnded { [self] outcome in handleEnd(outcome) }
        do throws(MachineError) {
            try machine.start()
        } catch {
            throw APIError("\(error)")
        }
        metricsFile.start { [weak self] in self?.flushMetrics() }
        ProgramText.release()
    }

    /// Ends the machine soon, and its guest is not asked; one that was not started will not be any more.
    ///
    /// - Parameter outputGrace: How long a slow reader of the console may take.
    package func stop(outputGrace: DispatchTimeInterval = .seconds(1)) {
        let (machine, isLast) = state.withLock { state in
            defer { if state.machine == nil { state.isAbandoned = true } }
            return (state.machine, state.machine == nil && !state.isAbandoned)
        }
        machine?.stop(outputGrace: outputGrace)
        if isLast { ended.leave() }
    }

    private func handleEnd(_ outcome: MachineOutcome) {
        if let message = outcome.message { logger.info("\(message)") }
        flushMetrics()
        metricsFile.stop()
        let waiters = state.withLock { state in
            state.outcome = outcome
            state.outputFile = nil
            defer { state.waiters = [] }
            return state.waiters
        }
        onEnd(outcome)
        for waiter in waiters { waiter.send(.json(.object(outcome.json))) }
        ended.leave()
    }

    /// Blocks until the machine has ended, or was stopped before it was started.
    ///
    /// - Returns: How it ended; `nil` for a machine that never was.
    package func waitUntilEnded() -> MachineOutcome? {
        ended.wait()
        return state.withLock { $0.outcome }
    }

    // MARK: - For requests

    /// What the API shows: changes of it come from requests only.
    var snapshot: State {
        state.withLock { $0 }
    }

    func change(_ body: (inout State) -> Void) {
        state.withLock { body(&$0) }
    }

    /// The machine, once it was started.
    func startedMachine() throws(APIError) -> VirtualMachine {
        guard let machine = state.withLock({ $0.machine }) else { throw .beforeStart }
        return machine
    }

    /// Makes sure that the machine was not started yet.
    func checkConfigurable() throws(APIError) {
        if isStarted { throw .afterStart }
    }

    func set(_ settings: LoggerSettings) throws(APIError) {
        try log.apply(settings)
        change { $0.logger = settings }
    }

    func set(_ settings: MetricsSettings) throws(APIError) {
        guard state.withLock({ $0.metrics == nil }) else {
            throw APIError("Reinitialization of metrics not allowed.")
        }
        try metricsFile.open(settings.path)
        change { $0.metrics = settings }
    }

    /// Answers when the machine has ended.
    ///
    /// - Returns: The answer, where it has; otherwise it comes later.
    func answerAtEnd(_ request: RoutedRequest) -> HTTPResponse? {
        let responder = request.responder
        let outcome = state.withLock { state in
            if state.outcome == nil { state.waiters.append(responder) }
            return state.outcome
        }
        if let outcome { return .json(.object(outcome.json)) }
        // Those that wait no longer would add up.
        let waiter = ObjectIdentifier(responder)
        responder.onClientGone { [weak self] in
            self?.change { state in state.waiters.removeAll { ObjectIdentifier($0) == waiter } }
        }
        return nil
    }

    /// Writes a line of metrics, where somebody wants them.
    ///
    /// - Returns: Whether somebody does.
    @discardableResult
    func flushMetrics() -> Bool {
        let (machine, drives) = state.withLock { ($0.machine, $0.resources.orderedDrives) }
        guard let machine else { return metricsFile.isOpen }
        return metricsFile.write(machine.statistics, drives: drives)
    }
}

extension MachineOutcome {
    /// The end as programs read it.
    package var json: JSONObject {
        [
            "outcome": .string(name), "exit_status": .integer(Int64(exitStatus)),
            "message": message.map { .string($0) } ?? .null,
        ]
    }
}

extension MachineService {
    /// Takes over what a command line says of messages and metrics.
    ///
    /// - Parameters:
    ///   - fields: Those of `/logger`, with flags that are there whatever their value is.
    ///   - metricsPath: The file of `/metrics`.
    /// - Throws: `APIError`, in words.
    package func configure(logger fields: [String: String], metricsPath: String?) throws(APIError) {
        if !fields.isEmpty {
            var object = JSONObject()
            for (name, value) in fields { object[name] = name.hasPrefix("show_") ? true : .string(value) }
            try set(try LoggerSettings(.object(object)))
        }
        if let metricsPath { try set(try MetricsSettings(["metrics_path": .string(metricsPath)])) }
    }
}
