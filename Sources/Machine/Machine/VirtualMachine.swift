// SPDX-License-Identifier: Apache-2.0

package import Console
import Devices
import Dispatch
import GuestMemory
package import Host
package import Logging
import MachineModel
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
        /// The reason for the end: the first one counts.
        var reason: MachineOutcome?
        /// Set when everything has stopped.
        var outcome: MachineOutcome?
        var endHandlers: [@Sendable (MachineOutcome) -> Void] = []
    }

    /// Notes for the user before the guest starts: one line each.
    package let notes: [String]

    let parts: MachineParts
    /// The file of the configuration that the guest's output goes to, open for as long as the machine is there.
    private let serialOutput: SerialOutputFile?
    let state = Mutex(State())
    /// The gate that all threads pass before the guest runs.
    private let gate: StartGate
    private let runningVCPUCount = Atomic<Int>(0)
    /// The thread that pauses, resumes, saves and winds the machine up, one after the other: all of them wait for threads.
    let control = WorkThread("control")
    /// The thread that timers fire on: never blocked, unlike `control`, which waits for output that may be abandoned.
    let timers = WorkThread("timers")
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

    /// Makes a machine and loads its kernel or its saved state; `start` runs it.
    ///
    /// - Parameters:
    ///   - start: The kernel or the snapshot that the machine begins with. A configuration is checked here once more.
    ///   - console: The descriptors stay the caller's, open until `wait` has returned. A file that the configuration names for
    ///     the output takes the place of this output, and of a terminal's input.
    ///   - logger: The log of guest errors.
    ///   - metadata: The data of the metadata service, where the configuration has it; a snapshot has none.
    ///   - onEvent: Called from the machine's threads; must not block.
    ///   - prepareThread: Called on each thread with its name before the guest runs, for what only the thread itself can do.
    /// - Throws: The reason why the machine cannot start on this host.
    package init(
        _ start: MachineStart,
        console: ConsoleAttachment = ConsoleAttachment(),
        logger: Logger = Logger(label: "martlet"),
        metadata: MetadataService = MetadataService(),
        onEvent: @escaping @Sendable (MachineEvent) -> Void = { _ in },
        prepareThread: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(MachineError) {
        let link = MachineLink(filter: console.filter, onEvent: onEvent)
        gate = StartGate(prepare: prepareThread)
        var console = console
        serialOutput = try Self.openOutput(start.serial, &console)
        parts = try MachineParts(
            start,
            console: console,
            timers: timers,
            metadata: metadata,
            logger: logger,
            link: link
        )
        notes = parts.notes + start.notes(for: parts)
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

    /// Starts all threads; returns when they are at the gate, or it was closed.
    private func startThreads() throws(HostThreadError) {
        // The slowest first: the control thread, and the vCPUs' after it.
        runningVCPUCount.store(parts.runners.count, ordering: .relaxed)
        let vcpus = parts.runners.map { ($0, gate.expect($0.name, isBorrowed: true)) }
        let ticket = gate.expect("control")
        // Not here: where the host gives no thread, Dispatch does not return but retries forever.
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

    private func noteEnd(ofVCPU outcome: MachineOutcome?) {
        if let outcome { end(parts.explained(outcome)) }
        guard runningVCPUCount.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0 else { return }
        control.run { [self] in windUp() }
    }

    /// Checks periodically whether every vCPU is halted with interrupts off, which causes no exit.
    ///
    /// Twice in a row, because the vCPUs do not answer at the same moment: one may have started another in between.
    private func watchForHalt() {
        guard state.withLock({ $0.reason == nil }) else { return }
        // A paused vCPU does not answer.
        if phase != .paused {
            // All of them are asked, whatever the first one answers: each answer is for the next time.
            let areParked = parts.runners.map { $0.wasParked() }.allSatisfy(\.self)
            if wereParked.exchange(areParked, ordering: .relaxed), areParked { return end(.halted) }
        }
        pendingTimers.withLock { $0.haltWatch }?.schedule(after: Self.haltWatchInterval)
    }

    /// Makes a timer whose function may wait for files and for the machine's threads, as `pause` does.
    package func makeTimer(_ body: @escaping @Sendable () -> Void) -> WorkThread.Timer {
        control.makeTimer(body)
    }

    /// Stops the machine soon.
    ///
    /// May be called from any thread; a machine that is already ending keeps its outcome.
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

    /// The machine's outcome, once it has ended.
    package func wait() async -> MachineOutcome {
        await withCheckedContinuation { continuation in
            whenEnded { continuation.resume(returning: $0) }
        }
    }

    /// Calls `body` when the machine has ended: at once if it has, else from one of its threads.
    package func whenEnded(_ body: @escaping @Sendable (MachineOutcome) -> Void) {
        let outcome = state.withLock { state in
            if state.outcome == nil { state.endHandlers.append(body) }
            return state.outcome
        }
        if let outcome { body(outcome) }
    }

    package var phase: MachinePhase {
        state.withLock { state in
            if state.outcome != nil { return .ended }
            guard state.isStarted else { return .notStarted }
            return state.isPaused ? .paused : .running
        }
    }

    package var isEnding: Bool {
        state.withLock { $0.reason != nil && $0.outcome == nil }
    }

    // MARK: - The end

    /// Stops all vCPUs, for the first reason given.
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
        // The guest continues: in its crash kernel, or until it powers off.
        case .crashLoaded, .shutDown: break
        case .keyboardLights(let lights): parts.snapshotPoint?.handle(lights: lights)
        }
    }

    /// Ends the machine after its last vCPU: writes its output, then informs all waiting callers.
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
