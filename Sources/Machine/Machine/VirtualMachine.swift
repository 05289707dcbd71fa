// SPDX-License-Identifier: Apache-2.0

import Devices
package import Dispatch
import GuestMemory
import Host
package import Logging
package import MachineModel
import Snapshot
import Storage
import Synchronization
package import SystemPackage

/// A machine: made stopped, started once, and ended by its guest or by its owner.
///
/// Each vCPU has a thread of its own, and so has each direction of the console. Nothing else runs.
package final class VirtualMachine: Sendable {
    struct State {
        var isStarted = false
        var isPaused = false
        /// Why the vCPUs were told to stop: the first reason counts.
        var reason: MachineOutcome?
        /// Set when nothing runs any more.
        var outcome: MachineOutcome?
        var endHandlers: [@Sendable (MachineOutcome) -> Void] = []
    }

    /// What a user should know before the guest starts: one line each.
    package let notes: [String]

    let parts: MachineParts
    /// The file of the configuration that the guest's output goes to, open for as long as the machine is there.
    private let serialOutput: SerialOutputFile?
    let state = Mutex(State())
    private let runningVCPUs = DispatchGroup()
    /// Where a machine is paused, resumed and wound up, one after the other: all of them wait for threads.
    private let control = DispatchQueue(label: "martlet.control")
    /// Where time runs out: never blocked, unlike `control`, which waits for output that may have to be given up.
    private let timers = DispatchQueue(label: "martlet.timers")
    /// How often the machine looks whether its guest has halted for good.
    private static let haltWatchInterval = DispatchTimeInterval.seconds(1)

    /// Makes a machine and loads its kernel: all but running it.
    ///
    /// - Parameters:
    ///   - configuration: Checked here once more.
    ///   - console: The descriptors stay the caller's, open until `wait` has returned. A file that the configuration names for
    ///     the output takes the place of this output, and of a terminal's input.
    ///   - logger: Where the machine says what its guest does wrong.
    ///   - onEvent: Called from the machine's threads; must not block.
    /// - Throws: What keeps the machine from starting, in words.
    package init(
        _ configuration: MachineConfiguration,
        console: ConsoleAttachment = ConsoleAttachment(),
        logger: Logger = Logger(label: "martlet"),
        onEvent: @escaping @Sendable (MachineEvent) -> Void = { _ in }
    ) throws(MachineError) {
        let link = MachineLink(onEvent: onEvent)
        var console = console
        console.outputLimit = configuration.serial?.rateLimit
        serialOutput = try configuration.serial?.outputPath.map { path throws(MachineError) in
            try SerialOutputFile(path: FilePath(hostText: path))
        }
        if let serialOutput {
            console.output = serialOutput.descriptor
            // The user of a terminal could not see what they type.
            if let input = console.input, Terminal.isTerminal(input) { console.input = nil }
        }
        parts = try MachineParts(.boot(configuration), console: console, logger: logger, link: link)
        notes = parts.notes + InterpretedHost.notes(for: configuration)
        link.connect(self)
    }

    /// Makes a machine that goes on where a saved one stood.
    ///
    /// - Parameters:
    ///   - snapshot: The saved machine.
    ///   - options: The wishes of whoever lets it go on.
    ///   - console: As for a machine that is booted.
    ///   - logger: As for a machine that is booted.
    ///   - onEvent: As for a machine that is booted.
    /// - Throws: What keeps the machine from going on here, in words.
    package init(
        restoring snapshot: MachineSnapshot,
        options: RestoreOptions = RestoreOptions(),
        console: ConsoleAttachment = ConsoleAttachment(),
        logger: Logger = Logger(label: "martlet"),
        onEvent: @escaping @Sendable (MachineEvent) -> Void = { _ in }
    ) throws(MachineError) {
        let link = MachineLink(onEvent: onEvent)
        parts = try MachineParts(.restore(snapshot, options), console: console, logger: logger, link: link)
        notes =
            parts.notes + [
                "restored from \(snapshot.folder.path): machines that are restored from one snapshot share their random numbers"
            ]
        serialOutput = nil
        link.connect(self)
    }

    /// Lets the guest run.
    ///
    /// - Parameter isPaused: Whether it waits for `resume` first.
    /// - Throws: `MachineError.startedBefore`; a machine starts once.
    package func start(isPaused: Bool = false) throws(MachineError) {
        let wasStarted = state.withLock { state in
            defer { (state.isStarted, state.isPaused) = (true, state.isPaused || isPaused) }
            return state.isStarted
        }
        guard !wasStarted else { throw .startedBefore }
        // All stand before their first step.
        if isPaused { parts.hold(joining: DispatchGroup()) }
        do throws(HostThreadError) {
            try parts.devices.start(gate: nil)
        } catch {
            throw .threads(error)
        }
        if isPaused { parts.devices.pause() }
        parts.console.start(port: parts.devices.legacy.serialPort)
        for runner in parts.runners {
            runner.start(in: runningVCPUs) { [self] outcome in end(parts.explained(outcome)) }
        }
        runningVCPUs.notify(queue: control) { [self] in windUp() }
        watchForHalt()
    }

    /// Looks now and then whether every vCPU is halted with interrupts off, which no exit tells.
    ///
    /// - Parameter wereParked: Whether they all were the time before. Two times in a row, because they do not answer at
    ///   the same moment: one may have started another in between.
    private func watchForHalt(wereParked: Bool = false) {
        timers.asyncAfter(deadline: .now() + Self.haltWatchInterval) { [weak self] in
            guard let self, state.withLock({ $0.reason == nil }) else { return }
            // One that is paused answers nothing.
            guard phase != .paused else { return watchForHalt() }
            // All of them are asked, whatever the first one answers: each answer is for the next time.
            let areParked = parts.runners.map { $0.wasParked() }
            let isHalted = areParked.allSatisfy(\.self)
            if isHalted, wereParked { return end(.halted) }
            watchForHalt(wereParked: isHalted)
        }
    }

    /// Stops the vCPUs soon.
    ///
    /// From any thread; a machine that ends already keeps its outcome.
    ///
    /// - Parameter outputGrace: How long the console may take to write what the guest had sent; `nil` for as long as it
    ///   needs.
    package func stop(outputGrace: DispatchTimeInterval? = nil) {
        end(.stopped)
        if let outputGrace { parts.console.abandonOutput(after: outputGrace, on: timers) }
    }

    /// How the machine ended, when it has.
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

    /// What the machine does now.
    package var phase: MachinePhase {
        state.withLock { state in
            if state.outcome != nil { return .ended }
            guard state.isStarted else { return .notStarted }
            return state.isPaused ? .paused : .running
        }
    }

    /// Whether the machine was told to end and has not ended yet.
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
        control.async { [self] in
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
        control.async { [self] in
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
    ///   - completion: Gets what `body` returned, or `MachineError.notRunning`.
    ///   - body: May take its time.
    func whileStanding<R: Sendable>(
        _ completion: @escaping @Sendable (Result<R, MachineError>) -> Void,
        _ body: @escaping @Sendable () throws(MachineError) -> R
    ) {
        control.async { [self] in
            let isRunning = phase == .running
            guard isRunning || phase == .paused else { return completion(.failure(.notRunning)) }
            // One that was paused before it ran has its threads on their way to where they stand.
            parts.pause()
            let result = Result { () throws(MachineError) in try body() }
            if isRunning { parts.resume() }
            completion(result)
        }
    }

    /// Like `pause(_:)`, until all stands still.
    package func pause() async throws(MachineError) {
        try await withCheckedContinuation { continuation in pause { continuation.resume(returning: $0) } }.get()
    }

    /// Like `resume(_:)`.
    package func resume() async throws(MachineError) {
        try await withCheckedContinuation { continuation in resume { continuation.resume(returning: $0) } }.get()
    }

    // MARK: - Statistics

    /// How many bytes of the guest's console output were dropped because nothing took them in time.
    package var droppedConsoleByteCount: UInt64 {
        parts.console.output?.droppedByteCount ?? 0
    }

    /// What vCPUs and devices have done so far; takes some milliseconds, for a look at the process's mappings.
    package var statistics: MachineStatistics {
        let resident = ResidentMemory(guestRanges: parts.guestMemoryRanges)
        return MachineStatistics(
            vcpus: parts.runners.map { $0.exits.statistics },
            disks: disks.map { .init(path: $0.path, requests: $0.statistics) },
            consoleByteCount: parts.console.hub?.byteCount ?? parts.console.channel?.byteCount,
            overheadByteCount: resident?.overheadByteCount,
            guestByteCount: resident?.guestByteCount
        )
    }

    // MARK: - Disks

    /// The disks of the configuration, in its order.
    package var disks: [Disk] { parts.devices.disks }

    /// Looks whether the guest has found a device and has a driver for it.
    package func isUsed(_ id: DeviceID) -> Bool {
        parts.devices.attached(id)?.transport.wasActivated ?? false
    }

    /// Looks how large the disks are now, and tells the guest.
    ///
    /// - Returns: The paths of those that have another size than before.
    @discardableResult
    package func rescanDisks() -> [FilePath] {
        disks.filter { $0.rescan() }.map(\.path)
    }

    /// The disks that the guest has not found, or has no driver for.
    package var unusedDisks: [FilePath] {
        disks.filter { !isUsed($0.id) }.map(\.path)
    }

    // MARK: - Keys and buttons

    /// Presses Ctrl-Alt-Del on the guest's keyboard.
    package func pressControlAltDelete() {
        _ = parts.devices.legacy.keyboardController.pressCtrlAltDelete()
    }

    /// Presses the power button.
    package func pressPowerButton() {
        parts.devices.legacy.power.pressPowerButton()
    }

    /// How a guest is asked to end.
    package enum ShutdownRequest: String, Hashable, Sendable {
        case powerButton = "power-button"
        case controlAltDelete = "ctrl-alt-del"
    }

    /// Asks the guest to shut down, in the way that its kernel can hear: whether it does is the guest's.
    ///
    /// - Returns: The way.
    @discardableResult
    package func requestShutdown() -> ShutdownRequest {
        if parts.guestUsesACPI {
            pressPowerButton()
            return .powerButton
        }
        pressControlAltDelete()
        return .controlAltDelete
    }

    /// Sends a break on the serial line to the guest: Magic SysRq on a Linux console.
    package func sendSerialBreak() {
        parts.console.hub?.sendBreak()
        parts.console.channel?.sendBreak()
    }

    // MARK: - The end

    /// Tells all vCPUs to stop, for the first reason given.
    fileprivate func end(_ reason: MachineOutcome) {
        let isFirst = state.withLock { state in
            guard state.reason == nil else { return false }
            state.reason = reason
            return true
        }
        guard isFirst else { return }
        for runner in parts.runners { runner.stop() }
    }

    fileprivate func handle(_ request: GuestRequest) {
        switch request {
        case .powerOff: end(.poweredOff)
        case .reset: end(parts.isResetAfterPanic() ? .panicked : .reset)
        case .panicked: end(.panicked)
        case .exit(let status): end(.exited(status))
        // The guest goes on: in its crash kernel, or until it powers off.
        case .crashLoaded, .shutDown: break
        }
    }

    fileprivate func handle(_ event: ConsoleInput.Event) {
        switch event {
        case .command(.stop): end(.stopped)
        case .command(.controlAltDelete): pressControlAltDelete()
        case .command(.powerButton): pressPowerButton()
        default: break
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
    }
}

/// The way from a machine's parts to the machine, which is made after them.
final class MachineLink: Sendable {
    private let machine = Mutex<WeakMachine>(WeakMachine())
    private let onEvent: @Sendable (MachineEvent) -> Void

    private struct WeakMachine {
        weak var value: VirtualMachine?
    }

    init(onEvent: @escaping @Sendable (MachineEvent) -> Void) {
        self.onEvent = onEvent
    }

    func connect(_ machine: VirtualMachine) {
        self.machine.withLock { $0.value = machine }
    }

    func handle(_ request: GuestRequest) {
        machine.withLock { $0.value }?.handle(request)
    }

    func handle(_ event: ConsoleInput.Event) {
        machine.withLock { $0.value }?.handle(event)
        switch event {
        case .command(let command): onEvent(.command(command))
        case .hangUp: onEvent(.consoleHangUp)
        }
    }

    func handleConsoleFailure(_ errno: Errno) {
        onEvent(.consoleFailed(errno))
    }
}
