// SPDX-License-Identifier: Apache-2.0

package import Console
import Dispatch
import Glibc
import HTTP
import Host
import JSON
import Logging
package import Machine
package import MachineModel
package import Metadata
import Snapshot
import Synchronization
package import SystemPackage

/// One machine behind its REST API: configured first, started once, then watched and directed.
///
/// Requests come from the server's thread, one at a time; what takes long is answered from a thread of the machine's.
package final class MachineService: Sendable {
    struct State {
        var configuration = MachineConfiguration()
        var machine: VirtualMachine?
        var startedAt: Timestamp?
        var result: MachineResult?
        /// Stopped before there was a machine, or before its guest ran.
        var isAbandoned = false
        /// Restored to wait, and nobody has said yet whether it is to run or to go on waiting.
        var awaitsOrder = false
        /// The last snapshot that has all of the machine.
        var lastSnapshot: SnapshotPlace?
        /// Indicates whether the process ends because a snapshot could not be restored, as Firecracker's does.
        var isRestoreFailed = false
        /// The clients that wait for the end.
        var waiters: [HTTPResponder] = []

        /// Takes over a description; logger and metrics stay those that are in use.
        mutating func describe(_ configuration: MachineConfiguration) {
            let (logger, metrics) = (self.configuration.logger, self.configuration.metrics)
            self.configuration = configuration
            (self.configuration.logger, self.configuration.metrics) = (logger, metrics)
        }
    }

    package let identifier: String
    let dialect: APIDialect
    let requests = RequestCounters()
    /// The data that the guest can ask for.
    let metadata: MetadataService
    private let startTime: StartTime
    let console: MachineConsole?
    let log: MonitorLog
    let logger: Logger
    private let attachment: ConsoleAttachment
    let program: (any ServedProgram)?
    private let metricsFile = MetricsFile()
    private let state = Mutex(State())
    private let ended = DispatchGroup()
    private let descriptors: [String: CInt]
    private let onReady: @Sendable (VirtualMachine) throws -> Void
    private let onStarted: @Sendable () -> Void
    private let prepareThread: @Sendable (String) -> Void
    private let onEnd: @Sendable (MachineResult) -> Void
    private let onEvent: @Sendable (MachineEvent) -> Void

    /// - Parameters:
    ///   - identifier: What the machine is called.
    ///   - attachment: The place that the console leads to, besides viewers.
    ///   - console: The console, to which viewers can come before the machine starts; `nil` where no client can attach.
    ///   - log: The log of messages.
    ///   - program: The program in the guest that the machine is there for, if any.
    ///   - dialect: The program that clients expect.
    ///   - metadata: The data that the guest can ask for.
    ///   - startTime: The time that the process took to come here.
    ///   - descriptors: Descriptors of this process that stand for paths of the configuration.
    ///   - onReady: Called when a machine is made, just before its guest runs.
    ///   - onStarted: Called when the guest runs, on the thread that has started it.
    ///   - prepareThread: Called on each of the machine's threads with its name, before the guest runs.
    ///   - onEvent: Called from the machine's threads; must not block.
    ///   - onEnd: Called once, from a thread of the machine's, before those who wait for the end are told.
    package init(
        identifier: String,
        attachment: ConsoleAttachment,
        console: MachineConsole?,
        log: MonitorLog,
        program: (any ServedProgram)? = nil,
        dialect: APIDialect = .martlet,
        metadata: MetadataService = MetadataService(),
        startTime: StartTime = StartTime(),
        descriptors: [String: CInt] = [:],
        onReady: @escaping @Sendable (VirtualMachine) throws -> Void = { _ in },
        onStarted: @escaping @Sendable () -> Void = {},
        prepareThread: @escaping @Sendable (String) -> Void = { _ in },
        onEvent: @escaping @Sendable (MachineEvent) -> Void = { _ in },
        onEnd: @escaping @Sendable (MachineResult) -> Void
    ) {
        (self.identifier, self.dialect, self.startTime) = (identifier, dialect, startTime)
        (self.metadata, self.program) = (metadata, program)
        var attachment = attachment
        attachment.console = console
        (self.attachment, self.console, self.log, self.descriptors) = (attachment, console, log, descriptors)
        (self.onReady, self.onEnd, self.onEvent) = (onReady, onEnd, onEvent)
        (self.onStarted, self.prepareThread) = (onStarted, prepareThread)
        logger = log.logger
        ended.enter()
    }

    /// The name of a machine that got none, as Firecracker has it.
    package static let defaultIdentifier = "anonymous-instance"

    // MARK: - Life

    /// Indicates whether the machine was started.
    package var isStarted: Bool {
        state.withLock { $0.machine != nil }
    }

    /// Indicates whether a client has given all orders that the machine needs: to start, and, for a restored one that waits,
    /// to run or to go on waiting.
    package var isOrdered: Bool {
        state.withLock { $0.machine != nil && !$0.awaitsOrder }
    }

    /// Ends a machine that nobody wants any more, as if it never was.
    package func abandon() {
        change { if $0.machine != nil { $0.isAbandoned = true } }
        stop()
    }

    /// Takes over a description, in place of what was described so far.
    ///
    /// - Parameter configuration: The description.
    /// - Throws: `APIError`, in words.
    package func configure(_ configuration: MachineConfiguration) throws(APIError) {
        try inAPITerms { () throws(ConfigurationError) in try configuration.validate() }
        try resolved(configuration).checkFiles()
        if let logger = configuration.logger { try set(logger) }
        if let metrics = configuration.metrics { try set(metrics) }
        change { $0.describe(configuration) }
    }

    /// The description for the machine alone: what stands for a descriptor is the descriptor's path.
    private func resolved(_ configuration: MachineConfiguration) -> MachineConfiguration {
        var configuration = configuration
        configuration.mapPaths(resolved)
        configuration.networkInterfaces = configuration.networkInterfaces.map(resolved)
        return configuration
    }

    private func resolved(_ interface: NetworkInterface) -> NetworkInterface {
        var interface = interface
        interface.descriptors = interface.descriptors.map { descriptors["descriptor:\($0)"].map(Int.init) ?? $0 }
        return interface
    }

    private func resolved(_ path: String) -> String {
        descriptors[path].map { "/proc/self/fd/\($0)" } ?? path
    }

    /// Makes the machine and lets it run.
    ///
    /// - Throws: `APIError`, in words; the configuration may be changed then, and tried again.
    package func start() throws(APIError) {
        let configuration = state.withLock { $0.configuration }
        if let service = configuration.metadataService { metadata.configure(service) }
        guard configuration.bootSource != nil else {
            let words = "Cannot start microvm without kernel configuration."
            throw APIError(words, firecracker: "Start microvm error: \(words)")
        }
        // Templates have no effect here; but whoever asks for one on a wrong host counts on the refusal.
        if dialect == .firecracker, let vendor = configuration.size.cpuTemplate?.vendor,
            HostDescription.current().vendor != vendor
        {
            let words = "CPU vendor mismatched between actual CPU and CPU template."
            throw APIError("Start microvm error: Failed to get CPU template: \(words)")
        }
        try start { () throws(MachineError) in
            try VirtualMachine(
                resolved(configuration),
                console: attachment,
                logger: logger,
                metadata: metadata,
                onEvent: onEvent,
                prepareThread: prepareThread
            )
        }
    }

    /// Lets a saved machine go on.
    ///
    /// - Parameters:
    ///   - snapshot: The saved machine.
    ///   - options: The wishes of whoever lets it go on; paths of disks may stand for descriptors.
    /// - Throws: `APIError`, in words.
    package func start(
        restoring snapshot: MachineSnapshot,
        _ options: RestoreOptions = RestoreOptions()
    ) throws(APIError) {
        var resolved = options
        if resolved.hostName == nil, identifier != Self.defaultIdentifier { resolved.hostName = identifier }
        resolved.drives = options.drives.mapValues { FilePath(hostText: self.resolved($0.hostText)) }
        resolved.networks = options.networks.mapValues { self.resolved($0) }
        try start(isPaused: options.isPaused) { [resolved] () throws(MachineError) in
            let machine = try VirtualMachine(
                restoring: snapshot,
                options: resolved,
                console: attachment,
                logger: logger,
                metadata: metadata,
                onEvent: onEvent,
                prepareThread: prepareThread
            )
            if let service = snapshot.machine.configuration.metadataService { metadata.configure(service) }
            change { $0.describe(snapshot.description(options)) }
            return machine
        }
    }

    private func start(isPaused: Bool = false, _ make: () throws(MachineError) -> VirtualMachine) throws(APIError) {
        let machine: VirtualMachine
        do throws(MachineError) {
            machine = try make()
        } catch {
            throw APIError("\(error)")
        }
        do {
            try onReady(machine)
        } catch {
            throw APIError("\(error)")
        }
        try state.withLock { state throws(APIError) in
            guard !state.isAbandoned else { throw APIError("Martlet is about to end.") }
            state.machine = machine
            state.awaitsOrder = isPaused
            state.startedAt = .now
        }
        machine.whenEnded { [self] outcome in handleEnd(outcome) }
        do throws(MachineError) {
            try machine.start(isPaused: isPaused)
        } catch {
            throw APIError("\(error)")
        }
        metricsFile.start(on: machine) { [weak self] in self?.flushMetrics() }
        onStarted()
    }

    /// Ends the machine soon, and its guest is not asked; one that was not started will not be any more.
    ///
    /// - Parameter outputGrace: How long a slow reader of the console may take.
    package func stop(outputGrace: Duration = .seconds(1)) {
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
        let (result, waiters) = state.withLock { state in
            var result = state.isAbandoned ? nil : state.machine.map { MachineResult(outcome, of: $0) }
            if let program { result = result.map(program.end) }
            state.result = result
            defer { state.waiters = [] }
            return (result, state.waiters)
        }
        if let result {
            onEnd(result)
            for waiter in waiters { waiter.send(.json(.encoding(result))) }
        }
        ended.leave()
    }

    /// Blocks until the machine has ended, or was stopped before it was started.
    ///
    /// Meanwhile, it gives back what the start needed, each second in the first minute and then every ten: a start goes on after its
    /// call returns, a guest that boots has devices do what they never do again, and requests take memory too.
    ///
    /// - Returns: How it ended; `nil` for a machine that never was, or was given up before its guest ran.
    /// - Throws: `APIError` after a request that Firecracker's process ends with.
    package func waitUntilEnded() throws(APIError) -> MachineResult? {
        var rounds = 0
        while ended.wait(timeout: .now() + .seconds(rounds < 60 ? 1 : 10)) == .timedOut {
            ProcessMemory.giveBack()
            rounds += 1
        }
        let state = snapshot
        guard !state.isRestoreFailed else {
            throw APIError("RunWithApiError error: Failed to build MicroVM: Loading snapshot failed..")
        }
        return state.result
    }

    /// Gives a disk another file while the guest runs, on behalf of this process itself: the description stays.
    ///
    /// - Parameters:
    ///   - index: The place of the disk among those of the configuration.
    ///   - path: The file.
    /// - Throws: `APIError`; the disk stays as it is then.
    package func replaceDisk(at index: Int, by path: FilePath) throws(APIError) {
        let disks = try startedMachine().disks
        guard disks.indices.contains(index) else { throw APIError("There is no disk \(index).") }
        do throws(MachineError) { try disks[index].replaceFile(by: path) } catch { throw APIError("\(error)") }
    }

    /// The socket of the machine's vsock.
    package var vsockPath: FilePath? {
        state.withLock { $0.configuration.vsock?.path.map { FilePath(hostText: $0) } }
    }

    // MARK: - For requests

    /// The state that the API shows: it changes by requests only.
    var snapshot: State {
        state.withLock { $0 }
    }

    func change(_ body: (inout State) -> Void) {
        state.withLock { body(&$0) }
    }

    /// The last snapshot that has all of the machine: it went on from there, or was saved there.
    var lastSnapshot: SnapshotPlace? { state.withLock { $0.lastSnapshot } }

    /// The machine, once it was started.
    func startedMachine() throws(APIError) -> VirtualMachine {
        guard let machine = state.withLock({ $0.machine }) else { throw .beforeStart }
        return machine
    }

    /// Makes sure that the machine was not started yet.
    func checkConfigurable() throws(APIError) {
        if isStarted { throw .afterStart }
    }

    package func set(_ settings: LoggerSettings) throws(APIError) {
        try inAPITerms { () throws(ConfigurationError) in try settings.validate() }
        try log.apply(settings)
        change { $0.configuration.logger = settings }
    }

    package func set(_ settings: MetricsSettings) throws(APIError) {
        try inAPITerms { () throws(ConfigurationError) in try settings.validate() }
        guard state.withLock({ $0.configuration.metrics == nil }) else {
            let words = "Reinitialization of metrics not allowed."
            throw APIError(
                words,
                firecracker:
                    "\(FirecrackerWords.prefix(of: "metrics"))Cannot initialize the metrics system due to bad user input: \(words)"
            )
        }
        try metricsFile.open(settings, identifier: identifier, startTime)
        change { $0.configuration.metrics = settings }
    }

    /// Answers when the machine has ended.
    ///
    /// - Returns: The answer, where it has; otherwise it comes later.
    func answerAtEnd(_ request: RoutedRequest) -> HTTPResponse? {
        let responder = request.responder
        let result = state.withLock { state in
            if state.result == nil { state.waiters.append(responder) }
            return state.result
        }
        if let result { return .json(.encoding(result)) }
        // Those that wait no longer would add up.
        let waiter = ObjectIdentifier(responder)
        responder.onClientGone { [weak self] in
            self?.change { state in state.waiters.removeAll { ObjectIdentifier($0) == waiter } }
        }
        return nil
    }

    /// Writes a line of metrics, where somebody wants them.
    package func flushMetrics() {
        let (machine, configuration) = state.withLock { ($0.machine, $0.configuration) }
        guard let machine, metricsFile.isOpen else { return }
        metricsFile.write(machine.statistics, of: configuration, requests, metadata.statistics)
    }
}

extension MachineService {
    /// Tells the log of a signal, in Firecracker's words.
    ///
    /// - Parameters:
    ///   - signal: Its number: SIGPIPE, after which the process goes on, or one that ends it.
    ///   - code: Its code (siginfo_t).
    package func report(_ signal: CInt, code: CInt) {
        let words = signal == SIGPIPE ? "Received" : "Shutting down VM after intercepting"
        logger.error("\(words) signal \(signal), code \(code).")
    }

    /// Looks how large the disks are now, and tells the guest.
    ///
    /// - Returns: The paths of those that have another size than before.
    package func rescanDisks() -> [String] {
        snapshot.machine?.rescanDisks().map(\.hostText) ?? []
    }
}
