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
/// Requests come from the server's thread, one at a time; slow ones are answered from one of the machine's threads.
package final class MachineService: Sendable {
    struct State {
        var configuration = MachineConfiguration()
        var machine: VirtualMachine?
        var startedAt: Timestamp?
        var result: MachineResult?
        /// Stopped before there was a machine, or before its guest ran.
        var isAbandoned = false
        /// Restored paused, without an order yet to run or to stay paused.
        var awaitsOrder = false
        /// The last full snapshot of the machine.
        var lastSnapshot: SnapshotPlace?
        /// Indicates whether the process ends because a snapshot could not be restored, as Firecracker's does.
        var isRestoreFailed = false
        /// The clients that wait for the end.
        var waiters: [HTTPResponder] = []

        /// Takes over a description, but keeps the logger and metrics in use.
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
    let attachment: ConsoleAttachment
    let program: (any ServedProgram)?
    let metricsFile = MetricsFile()
    let state = Mutex(State())
    private let ended = DispatchGroup()
    let descriptors: [String: CInt]
    let openedFolders: [FilePath]
    let onReady: @Sendable (VirtualMachine) throws -> Void
    let onStarted: @Sendable () -> Void
    let prepareThread: @Sendable (String) -> Void
    private let onEnd: @Sendable (MachineResult) -> Void
    let onEvent: @Sendable (MachineEvent) -> Void

    /// - Parameters:
    ///   - identifier: The machine's name.
    ///   - attachment: The other end of the console, besides viewers.
    ///   - console: The console, to which viewers can come before the machine starts; `nil` where no client can attach.
    ///   - log: The log of messages.
    ///   - program: The program in the guest that the machine runs for, if any.
    ///   - dialect: The program that clients expect.
    ///   - metadata: The data that the guest can ask for.
    ///   - startTime: The time that the process has taken so far.
    ///   - descriptors: Descriptors of this process that stand for paths of the configuration.
    ///   - openedFolders: The folders beneath which requests may open files once the machine has started.
    ///   - onReady: Called when a machine is made, just before its guest runs.
    ///   - onStarted: Called when the guest runs, on the thread that has started it.
    ///   - prepareThread: Called on each of the machine's threads with its name, before the guest runs.
    ///   - onEvent: Called from the machine's threads; must not block.
    ///   - onEnd: Called once, from one of the machine's threads, before clients that wait for the end get their answer.
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
        openedFolders: [FilePath] = ["/"],
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
        self.openedFolders = openedFolders
        (self.onStarted, self.prepareThread) = (onStarted, prepareThread)
        logger = log.logger
        ended.enter()
    }

    /// The name of an unnamed machine, as in Firecracker.
    package static let defaultIdentifier = "anonymous-instance"

    // MARK: - Life

    /// Indicates whether the machine was started.
    package var isStarted: Bool {
        state.withLock { $0.machine != nil }
    }

    /// Notes about the machine for the user; none before it starts.
    package var notes: [String] {
        state.withLock { $0.machine }?.notes ?? []
    }

    /// Indicates whether a client has given all orders that the machine needs: to start, and, for a paused restored one,
    /// to run or to stay paused.
    package var isOrdered: Bool {
        state.withLock { $0.machine != nil && !$0.awaitsOrder }
    }

    /// Ends a machine that is no longer wanted, without a result.
    package func abandon() {
        change { if $0.machine != nil { $0.isAbandoned = true } }
        stop()
    }

    /// Replaces the whole description.
    package func configure(_ configuration: MachineConfiguration) throws(APIError) {
        try inAPITerms { () throws(ConfigurationError) in try configuration.validate() }
        try resolved(configuration).checkFiles()
        if let logger = configuration.logger { try set(logger) }
        if let metrics = configuration.metrics { try set(metrics) }
        change { $0.describe(configuration) }
    }

    /// Ends the machine soon, without asking its guest; one that was not started cannot start any more.
    ///
    /// - Parameter outputGrace: The time that a slow reader of the console may take.
    package func stop(outputGrace: Duration = .seconds(1)) {
        let (machine, isLast) = state.withLock { state in
            defer { if state.machine == nil { state.isAbandoned = true } }
            return (state.machine, state.machine == nil && !state.isAbandoned)
        }
        machine?.stop(outputGrace: outputGrace)
        if isLast { ended.leave() }
    }

    func handleEnd(_ outcome: MachineOutcome) {
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
    /// Meanwhile, it returns memory that the start needed, each second in the first minute and then every ten: a start continues after its
    /// call returns, a booting guest makes devices do things once, and requests take memory too.
    ///
    /// - Returns: The result; `nil` for a machine that never existed, or was abandoned before its guest ran.
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

    /// Replaces a disk's file while the guest runs, for this process itself: the description stays.
    ///
    /// `index` is the place among the disks of the configuration. Where it throws, the disk stays as it is.
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

    /// The last full snapshot of the machine: the one that it was restored from, or saved to.
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

    /// Makes sure that a file which a request names lies in a folder that the sandbox leaves to this process.
    ///
    /// The sandbox refuses other files in any case; this check tells the client why.
    func checkReach(_ path: FilePath) throws(APIError) {
        guard isStarted, !openedFolders.contains("/") else { return }
        let parent = (try? path.parent.withoutLinks()) ?? path.parent
        let real = (try? path.withoutLinks()) ?? parent.appending(path.lastName)
        guard !openedFolders.contains(where: { real.starts(with: (try? $0.withoutLinks()) ?? $0) }) else { return }
        throw APIError(
            """
            '\(path)' is in none of the folders in which this machine's process opens files now: \
            \(openedFolders.map(\.description).joined(separator: ", ")). Start the machine with --allow and the file's folder.
            """
        )
    }

    package func set(_ settings: LoggerSettings) throws(APIError) {
        try inAPITerms { () throws(ConfigurationError) in try settings.validate() }
        if let path = settings.path { try checkReach(FilePath(hostText: path)) }
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
        // Clients that have gone would add up.
        let waiter = ObjectIdentifier(responder)
        responder.onClientGone { [weak self] in
            self?.change { state in state.waiters.removeAll { ObjectIdentifier($0) == waiter } }
        }
        return nil
    }

    /// Writes a line of metrics, if they are configured.
    package func flushMetrics() {
        let (machine, configuration) = state.withLock { ($0.machine, $0.configuration) }
        guard let machine, metricsFile.isOpen else { return }
        metricsFile.write(machine.statistics, of: configuration, requests, metadata.statistics)
    }
}

extension MachineService {
    /// Logs a signal, in Firecracker's words.
    ///
    /// - Parameters:
    ///   - signal: Its number: SIGPIPE, after which the process continues, or one that ends it.
    ///   - code: Its code (siginfo_t).
    package func report(_ signal: CInt, code: CInt) {
        let words = signal == SIGPIPE ? "Received" : "Shutting down VM after intercepting"
        logger.error("\(words) signal \(signal), code \(code).")
    }

    /// Counts a system call that the sandbox refused.
    package func countRefusedCall() { requests.countRefusedCall() }

    /// Checks the disks for new sizes, and notifies the guest.
    ///
    /// - Returns: The paths of the disks with a new size.
    package func rescanDisks() -> [String] {
        snapshot.machine?.rescanDisks().map(\.hostText) ?? []
    }
}
