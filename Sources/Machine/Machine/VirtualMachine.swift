// SPDX-License-Identifier: Apache-2.0

package import Console
import Devices
import Dispatch
import GuestMemory
package import Host
package import Logging
package import MachineModel
package import Metadata
import Snapshot
import Storage
import Synchronization
import SystemPackage
import Virtio

/// A machine: made stopped, started once, and ended by its guest or by its owner.
///
/// Each vCPU has a thread of its own, and so have each device and the console: `docs/architecture.md` lists them. All pass one gate
/// before the guest runs, and none is made after that.
package final class VirtualMachine: Sendable {
    struct State {
        var isStarted = false
        var isPaused = false
        /// The reason why the vCPUs were told to stop: the first one counts.
        var reason: MachineOutcome?
        /// Set when nothing runs any more.
        var outcome: MachineOutcome?
        var endHandlers: [@Sendable (MachineOutcome) -> Void] = []
    }

    /// Notes for the user before the guest starts: one line each.
    package let notes: [String]

    let parts: MachineParts
    /// The file of the configuration that the guest's output goes to, open for as long as the machine is there.
    private let serialOutput: SerialOutputFile?
    let state = Mutex(State())
    /// All threads pass it before the guest runs.
    private let gate: StartGate
    private let runningVCPUCount = Atomic<Int>(0)
    /// The thread that pauses, resumes, saves and winds the machine up, one after the other: all of them wait for threads.
    private let control = WorkThread("control")
    /// The thread that timers fire on: never blocked, unlike `control`, which waits for output that may have to be given up.
    private let timers = WorkThread("timers")
    private let pendingTimers = Mutex(PendingTimers())
    /// Indicates whether every vCPU was parked when it was last asked.
    private let wereParked = Atomic<Bool>(false)
    /// The interval at which the machine checks whether its guest has halted for good.
    private static let haltWatchInterval = Duration.seconds(1)
    /// The time that all threads may take to start.
    private static let startPatience = Duration.seconds(5)

    private struct PendingTimers {
        var haltWatch: WorkThread.Timer?
        var outputGrace: WorkThread.Timer?
    }

    /// Makes a machine and loads its kernel: all but running it.
    ///
    /// - Parameters:
    ///   - configuration: Checked here once more.
    ///   - console: The descriptors stay the caller's, open until `wait` has returned. A file that the configuration names for
    ///     the output takes the place of this output, and of a terminal's input.
    ///   - logger: Where the machine says what its guest does wrong.
    ///   - metadata: The data of the metadata service, where the configuration has it.
    ///   - onEvent: Called from the machine's threads; must not block.
    ///   - prepareThread: Called on each thread with its name before the guest runs: for what a thread can do to itself alone.
    /// - Throws: What keeps the machine from starting, in words.
    package init(
        _ configuration: MachineConfiguration,
        console: ConsoleAttachment = ConsoleAttachment(),
        logger: Logger = Logger(label: "martlet"),
        metadata: MetadataService = MetadataService(),
        onEvent: @escaping @Sendable (MachineEvent) -> Void = { _ in },
        prepareThread: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(MachineError) {
        let link = MachineLink(filter: console.filter, onEvent: onEvent)
        gate = StartGate(prepare: prepareThread)
        var console = console
        serialOutput = try Self.openOutput(configuration.serial, &console)
        parts = try MachineParts(
            .boot(configuration),
            console: console,
            timers: timers,
            metadata: metadata,
            logger: logger,
            link: link
        )
        notes = parts.notes + configuration.notes + InterpretedHost.notes(for: configuration)
        link.connect(self)
    }

    /// Makes a machine that goes on where a saved one stood.
    ///
    /// - Parameters:
    ///   - snapshot: The saved machine.
    ///   - options: The wishes of whoever lets it go on.
    ///   - console: As for a machine that is booted.
    ///   - logger: As for a machine that is booted.
    ///   - metadata: As for a machine that is booted: a snapshot has no data.
    ///   - onEvent: As for a machine that is booted.
    ///   - prepareThread: As for a machine that is booted.
    /// - Throws: What keeps the machine from going on here, in words.
    package init(
        restoring snapshot: MachineSnapshot,
        options: RestoreOptions = RestoreOptions(),
        console: ConsoleAttachment = ConsoleAttachment(),
        logger: Logger = Logger(label: "martlet"),
        metadata: MetadataService = MetadataService(),
        onEvent: @escaping @Sendable (MachineEvent) -> Void = { _ in },
        prepareThread: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(MachineError) {
        let link = MachineLink(filter: console.filter, onEvent: onEvent)
        gate = StartGate(prepare: prepareThread)
        var console = console
        serialOutput = try Self.openOutput(options.serial, &console)
        parts = try MachineParts(
            .restore(snapshot, options),
            console: console,
            timers: timers,
            metadata: metadata,
            logger: logger,
            link: link
        )
        var notes = parts.notes
        if !parts.devices.interfaces.isEmpty {
            notes.append(
                "machines that are restored from one snapshot have the same network addresses: no two of them belong on one network"
            )
        }
        if !options.keepsIdentity, !parts.guestLearnsIdentity {
            notes.append(
                """
                this guest cannot be told that it was restored: further machines of \(snapshot.folder.path) have the same \
                random numbers
                """
            )
        }
        self.notes = notes
        link.connect(self)
    }

    /// Opens the file that the serial port's output goes to, in the place of an output and of a terminal's input.
    private static func openOutput(
        _ settings: SerialSettings?,
        _ console: inout ConsoleAttachment
    ) throws(MachineError) -> SerialOutputFile? {
        console.outputLimit = settings?.rateLimit
        guard let path = settings?.outputPath else { return nil }
        let file = try SerialOutputFile(path: FilePath(hostText: path))
        console.output = file.descriptor
        // The user of a terminal could not see what they type.
        if let input = console.input, Terminal.isTerminal(input) { console.input = nil }
        return file
    }

    /// Lets the guest run.
    ///
    /// - Parameter isPaused: Whether it waits for `resume` first.
    /// - Throws: `MachineError.startedBefore`; a machine starts once. `MachineError.threads` where the host gives no thread: then
    ///   the machine has ended.
    package func start(isPaused: Bool = false) throws(MachineError) {
        let wasStarted = state.withLock { state in
            defer { (state.isStarted, state.isPaused) = (true, state.isPaused || isPaused) }
            return state.isStarted
        }
        guard !wasStarted else { throw .startedBefore }
        do throws(HostThreadError) {
            try startThreads()
        } catch {
            end(.failed(.threads(error)))
            windUp()
            throw .threads(error)
        }
        let arrivals = DispatchGroup()
        if isPaused { parts.hold(joining: arrivals) }
        // Stopped meanwhile, or before.
        guard gate.open() else { return windUp() }
        arrivals.wait()
        let haltWatch = timers.makeTimer { [weak self] in self?.watchForHalt() }
        haltWatch.schedule(after: Self.haltWatchInterval)
        pendingTimers.withLock { $0.haltWatch = haltWatch }
    }

    /// Starts all threads; returns when they are at the gate, or somebody has closed it.
    private func startThreads() throws(HostThreadError) {
        // First what takes longest: the control thread, and the vCPUs' behind it.
        runningVCPUCount.store(parts.runners.count, ordering: .relaxed)
        let vcpus = parts.runners.map { ($0, gate.expect($0.name, isBorrowed: true)) }
        let ticket = gate.expect("control")
        // Not here: where the host gives no thread, Dispatch does not return but tries again, for ever.
        control.run { [self, gate] in
            for (runner, ticket) in vcpus {
                runner.start(gate, ticket) { [self] outcome in noteEnd(ofVCPU: outcome) }
            }
            _ = gate.enter(ticket)
        }
        try control.start()
        try timers.start(gate: gate)
        try parts.devices.start(gate: gate)
        try parts.console.start(port: parts.consolePort, gate: gate)
        try gate.waitForAll(within: Self.startPatience)
    }

    /// - Parameter outcome: The end, where the vCPU itself is its reason.
    private func noteEnd(ofVCPU outcome: MachineOutcome?) {
        if let outcome { end(parts.explained(outcome)) }
        guard runningVCPUCount.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0 else { return }
        control.run { [self] in windUp() }
    }

    /// Looks now and then whether every vCPU is halted with interrupts off, which no exit tells.
    ///
    /// Two times in a row, because the vCPUs do not answer at the same moment: one may have started another in between.
    private func watchForHalt() {
        guard state.withLock({ $0.reason == nil }) else { return }
        // One that is paused answers nothing.
        if phase != .paused {
            // All of them are asked, whatever the first one answers: each answer is for the next time.
            let areParked = parts.runners.map { $0.wasParked() }.allSatisfy(\.self)
            if wereParked.exchange(areParked, ordering: .relaxed), areParked { return end(.halted) }
        }
        pendingTimers.withLock { $0.haltWatch }?.schedule(after: Self.haltWatchInterval)
    }

    /// Makes a timer whose function may wait for files and for the machine's threads, as `pause` does.
    ///
    /// - Parameter body: Called on the machine's thread for control, up to the end of the machine.
    /// - Returns: The timer.
    package func makeTimer(_ body: @escaping @Sendable () -> Void) -> WorkThread.Timer {
        control.makeTimer(body)
    }

    /// Stops the vCPUs soon.
    ///
    /// From any thread; a machine that ends already keeps its outcome.
    ///
    /// - Parameter outputGrace: How long the console may take to write what the guest had sent; `nil` for as long as it
    ///   needs.
    package func stop(outputGrace: Duration? = nil) {
        if let outputGrace {
            pendingTimers.withLock { pending in
                guard pending.outputGrace == nil else { return }
                let timer = timers.makeTimer { [console = parts.console] in console.abandonOutput() }
                timer.schedule(after: outputGrace)
                pending.outputGrace = timer
            }
        }
        end(.stopped)
    }

    /// The machine's end, when it has ended.
    package func wait() async -> MachineOutcome {
        await withCheckedContinuation { continuation in
            whenEnded { continuation.resume(returning: $0) }
        }
    }

    /// Blocks until the machine has ended.
    ///
    /// - Returns: How it ended.
    package func waitUntilEnded() -> MachineOutcome {
        let ended = DispatchSemaphore(value: 0)
        whenEnded { _ in ended.signal() }
        ended.wait()
        return state.withLock { $0.outcome } ?? .stopped
    }

    /// Calls `body` when the machine has ended: at once, where it has, else from a thread of the machine's.
    package func whenEnded(_ body: @escaping @Sendable (MachineOutcome) -> Void) {
        let outcome = state.withLock { state in
            if state.outcome == nil { state.endHandlers.append(body) }
            return state.outcome
        }
        if let outcome { body(outcome) }
    }

    /// The machine's present activity.
    package var phase: MachinePhase {
        state.withLock { state in
            if state.outcome != nil { return .ended }
            guard state.isStarted else { return .notStarted }
            return state.isPaused ? .paused : .running
        }
    }

    /// Indicates whether the machine was told to end and has not ended yet.
    package var isEnding: Bool {
        state.withLock { $0.reason != nil && $0.outcome == nil }
    }

    // MARK: - Pause

    /// Takes every vCPU out of the guest and finishes all input and output: nothing changes guest memory until `resume`.
    ///
    /// A machine that is paused stays so.
    ///
    /// - Parameter completion: Called from a thread of the machine's when all stands still, or with `MachineError.notRunning`.
    package func pause(_ completion: @escaping @Sendable (Result<Void, MachineError>) -> Void) {
        whileStarted(completion) { [self] in
            guard phase != .paused else { return completion(.success(())) }
            guard phase == .running else { return completion(.failure(.notRunning)) }
            parts.pause()
            state.withLock { $0.isPaused = true }
            completion(.success(()))
        }
    }

    /// Lets a paused machine go on; one that runs goes on running.
    ///
    /// - Parameter completion: Called when it does, or with `MachineError.notRunning`.
    package func resume(_ completion: @escaping @Sendable (Result<Void, MachineError>) -> Void) {
        whileStarted(completion) { [self] in
            guard phase != .running else { return completion(.success(())) }
            guard phase == .paused else { return completion(.failure(.notRunning)) }
            state.withLock { $0.isPaused = false }
            parts.resume()
            completion(.success(()))
        }
    }

    /// Calls `body` while all stands still, on the thread that pauses and resumes; then a machine that ran goes on.
    ///
    /// - Parameters:
    ///   - completion: Gets what `body` and the rest threw, or `MachineError.notRunning`.
    ///   - body: May take its time; gives the rest of the work, which is done when the machine goes on.
    func whileStanding(
        _ completion: @escaping @Sendable (Result<Void, MachineError>) -> Void,
        _ body: @escaping @Sendable () throws(MachineError) -> () throws(MachineError) -> Void
    ) {
        whileStarted(completion) { [self] in
            let isRunning = phase == .running
            guard isRunning || phase == .paused else { return completion(.failure(.notRunning)) }
            // The work has released its locks and files when the completion is called.
            completion(Result { () throws(MachineError) in try standAndFinish(isRunning: isRunning, body) })
        }
    }

    private func standAndFinish(
        isRunning: Bool,
        _ body: () throws(MachineError) -> () throws(MachineError) -> Void
    ) throws(MachineError) {
        // One that was paused before it ran has its threads on their way to where they stand.
        parts.pause()
        let rest = Result { () throws(MachineError) in try body() }
        if isRunning { parts.resume() }
        try rest.get()()
    }

    /// Has the control thread call `body`; fails with `MachineError.notRunning` where there is none.
    private func whileStarted<R: Sendable>(
        _ completion: @escaping @Sendable (Result<R, MachineError>) -> Void,
        _ body: @escaping @Sendable () -> Void
    ) {
        guard phase == .running || phase == .paused, control.run(body) else { return completion(.failure(.notRunning)) }
    }

    /// Asks the guest to get ready for a snapshot, and calls `body` when it is, or takes too long.
    func askGuest(_ point: SnapshotPoint, _ body: @escaping @Sendable () -> Void) {
        point.ask(on: timers, body)
    }

    /// Like `pause(_:)`, until all stands still.
    package func pause() async throws(MachineError) {
        try await withCheckedContinuation { continuation in pause { continuation.resume(returning: $0) } }.get()
    }

    /// Like `resume(_:)`.
    package func resume() async throws(MachineError) {
        try await withCheckedContinuation { continuation in resume { continuation.resume(returning: $0) } }.get()
    }

    // MARK: - The end

    /// Tells all vCPUs to stop, for the first reason given.
    func end(_ reason: MachineOutcome) {
        let isFirst = state.withLock { state in
            guard state.reason == nil else { return false }
            state.reason = reason
            return true
        }
        guard isFirst else { return }
        for runner in parts.runners { runner.stop() }
        // A machine that is still starting does not start.
        gate.close()
    }

    func handle(_ request: GuestRequest) {
        switch request {
        case .powerOff: end(.poweredOff)
        case .reset: end(parts.isResetAfterPanic() ? .panicked : .reset)
        case .panicked: end(.panicked)
        case .exit(let status): end(.exited(status))
        // The guest goes on: in its crash kernel, or until it powers off.
        case .crashLoaded, .shutDown: break
        case .keyboardLights(let lights): parts.snapshotPoint?.handle(lights: lights)
        }
    }

    /// Nothing runs in the guest any more: write what it sent, then tell who waits.
    private func windUp() {
        parts.devices.stop()
        parts.console.finish()
        let (handlers, outcome) = state.withLock { state in
            let outcome = state.reason ?? .stopped
            state.outcome = outcome
            defer { state.endHandlers = [] }
            return (state.endHandlers, outcome)
        }
        for handler in handlers { handler(outcome) }
        parts.snapshotPoint?.abandon()
        pendingTimers.withLock { $0 = PendingTimers() }
        timers.finish()
        control.finish()
    }
}
