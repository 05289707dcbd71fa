// SPDX-License-Identifier: Apache-2.0

import Console
import Host
public import Logging
import Machine
public import MachineModel
import Snapshot
import SystemPackage

/// A machine: made stopped, started once, and ended by its guest or by its owner.
///
///     let machine = try VirtualMachine(configuration: configuration)
///     try await machine.start()
///     for await line in machine.console.lines { print(line) }
///     let outcome = await machine.waitUntilStopped()
///
/// All functions may be called from any task at any time. A machine that is no longer referred to is stopped at once, and
/// all that it has of the host is given back.
public final class VirtualMachine: Sendable {
    /// The activity of a machine.
    public enum State: Hashable, Sendable {
        /// It was not started yet.
        case stopped
        /// Its guest runs.
        case running
        /// Its guest is paused, and can be resumed.
        case paused
        /// It is ending.
        case stopping
        /// It has ended, and cannot be started again.
        case ended
    }

    /// The machine's console; without a byte where the machine was made with one that leads elsewhere.
    public let console: SerialConsole

    private let machine: Machine.VirtualMachine
    private let channel: MachineConsole
    /// The time that files and pipes may take for the last bytes of a machine that its owner ends.
    private static let outputGrace = Duration.seconds(1)

    /// Indicates whether machines can run on this host: the processor, KVM, and the right to use it.
    ///
    /// Takes some milliseconds: the host is tried.
    public static var isSupported: Bool { HostReport().isUsable }

    /// The obstacles to machines on this host and the ways to mend them, a line for each; none where machines can run.
    public static var hostProblems: [String] {
        HostReport().findings.filter { $0.verdict == .bad }.map { "\($0.subject): \($0.detail)" }
    }

    /// Makes a machine and loads its kernel: all but running it.
    ///
    /// Opens the disks, which stay locked until the machine has ended and is no longer referred to.
    ///
    /// - Parameters:
    ///   - configuration: Checked here once more. Its ``MachineConfiguration/logger`` and ``MachineConfiguration/metrics`` are
    ///     the command's, and without effect here.
    ///   - console: The place that the two directions of the serial console lead to: `ttyS0` in Linux.
    ///   - logger: The log of errors of the guest and of host files, at a limited rate.
    /// - Throws: ``MartletError``, for what keeps the machine from starting.
    public convenience init(
        configuration: MachineConfiguration,
        console: SerialConsoleAttachment = .stream,
        logger: Logger = Logger(label: "martlet")
    ) throws(MartletError) {
        try self.init(console, logger) { attachment, onEvent throws(MachineError) in
            try Machine.VirtualMachine(.boot(configuration), console: attachment, logger: logger, onEvent: onEvent)
        }
    }

    /// Makes a machine that continues where a saved one stood, once it is started.
    ///
    /// Any number of machines can go on from one snapshot. Each has a private copy of the disks in it, and shares the memory
    /// that it does not write; the snapshot stays as it is.
    ///
    /// - Parameters:
    ///   - path: The snapshot's folder, from ``save(to:replacing:)`` or `martlet snapshot save`.
    ///   - drives: Files for disks by their ``Drive/id``, instead of those in the snapshot: needed for disks that it has no
    ///     copy of.
    ///   - networkInterfaces: The host's sides of the machine's network interfaces, found by their id: needed for each.
    ///   - keepsIdentity: Whether the guest keeps its identity and does not learn of the restore.
    ///   - console: The place that the two directions of the serial console lead to. A stream begins with the last bytes
    ///     that were sent before the save.
    ///   - logger: The log of errors of the guest and of host files, at a limited rate.
    /// - Throws: ``MartletError``, with the code ``MartletError/Code/snapshot`` for a snapshot that is damaged, or that this
    ///   host cannot go on with.
    public convenience init(
        restoring path: String,
        drives: [String: String] = [:],
        networkInterfaces: [NetworkInterface] = [],
        keepsIdentity: Bool = false,
        console: SerialConsoleAttachment = .stream,
        logger: Logger = Logger(label: "martlet")
    ) throws(MartletError) {
        var options = RestoreOptions()
        options.drives = drives.mapValues { FilePath(hostText: $0) }
        options.networks = Dictionary(networkInterfaces.map { ($0.id, $0) }) { $1 }
        options.keepsIdentity = keepsIdentity
        let wishes = options
        try self.init(console, logger) { attachment, onEvent throws(MachineError) in
            let snapshot: MachineSnapshot
            do throws(SnapshotError) {
                snapshot = try MachineSnapshot(FilePath(hostText: path))
            } catch {
                throw .snapshot(error)
            }
            return try Machine.VirtualMachine(
                .restore(snapshot, wishes),
                console: attachment,
                logger: logger,
                onEvent: onEvent
            )
        }
    }

    private init(
        _ console: SerialConsoleAttachment,
        _ logger: Logger,
        _ make: (ConsoleAttachment, @escaping @Sendable (MachineEvent) -> Void) throws(MachineError)
            -> Machine.VirtualMachine
    ) throws(MartletError) {
        let channel = try inPublicTerms { () throws(MachineError) in
            do throws(Errno) {
                return try MachineConsole(capacity: SerialConsole.keptByteCount, logger: logger)
            } catch {
                throw .descriptor("the console", error)
            }
        }
        var attachment = ConsoleAttachment()
        switch console {
        case .stream:
            attachment.console = channel
        case .fileDescriptors(let output, let input):
            attachment.output = output.map { FileDescriptor(rawValue: $0) }
            attachment.input = input.map { FileDescriptor(rawValue: $0) }
            channel.close()
        case .disconnected:
            channel.close()
        }
        machine = try inPublicTerms { () throws(MachineError) in
            try make(attachment) { event in
                guard case .consoleFailed(let errno) = event else { return }
                logger.warning("the console cannot be written: \(errno); the guest goes on without it")
            }
        }
        self.channel = channel
        self.console = SerialConsole(channel)
    }

    deinit {
        // Its threads hold a machine that runs; one that never ran may have readers, which would wait forever.
        machine.stop(outputGrace: Self.outputGrace)
        channel.close()
    }

    // MARK: - State

    /// The machine's current phase.
    public var state: State {
        switch machine.phase {
        case .notStarted: .stopped
        case .ended: .ended
        case .running, .paused: machine.isEnding ? .stopping : machine.phase == .paused ? .paused : .running
        }
    }

    /// The machine's disks, in the order in which the guest finds them: the root first.
    public var storageDevices: [StorageDevice] {
        machine.disks.map { StorageDevice(machine, $0) }
    }

    /// The machine's counters so far.
    ///
    /// Takes some milliseconds, to measure this process's memory.
    public var statistics: Statistics {
        Statistics(machine.statistics)
    }

    // MARK: - Operations

    /// Lets the guest run.
    ///
    /// - Throws: ``MartletError`` with the code ``MartletError/Code/alreadyStarted``: a machine starts once.
    public func start() async throws(MartletError) {
        try inPublicTerms { () throws(MachineError) in try machine.start() }
    }

    /// Takes every vCPU out of the guest and finishes all input and output; a machine that is paused stays so.
    ///
    /// - Throws: ``MartletError`` with the code ``MartletError/Code/notRunning``.
    public func pause() async throws(MartletError) {
        do throws(MachineError) {
            try await machine.pause()
        } catch {
            throw MartletError(error)
        }
    }

    /// Resumes a paused machine; a running one keeps running.
    ///
    /// - Throws: ``MartletError`` with the code ``MartletError/Code/notRunning``.
    public func resume() async throws(MartletError) {
        do throws(MachineError) {
            try await machine.resume()
        } catch {
            throw MartletError(error)
        }
    }

    /// Saves the machine to a folder, and returns when all is on the disk; one that runs continues, one that is paused stays so.
    ///
    /// The folder has the guest's memory and the disks that it can write to, so only its owner can read it.
    ///
    /// - Parameters:
    ///   - path: The snapshot's folder, in one that exists.
    ///   - isReplacing: Whether a snapshot that is there may be replaced.
    /// - Throws: ``MartletError`` with the code ``MartletError/Code/snapshot``, or ``MartletError/Code/notRunning``. What was
    ///   at `path` is as it was.
    public func save(to path: String, replacing isReplacing: Bool = false) async throws(MartletError) {
        do throws(MachineError) {
            try await machine.save(to: FilePath(hostText: path), replacing: isReplacing)
        } catch {
            throw MartletError(error)
        }
    }

    /// Asks the guest to shut down, in the way that its kernel can hear: whether it does, and when, is the guest's.
    ///
    /// That is ``pressPowerButton()`` for a kernel that uses ACPI, else ``pressControlAltDelete()``.
    ///
    /// - Throws: ``MartletError`` with the code ``MartletError/Code/notRunning``, also for a machine that is paused or ends.
    public func requestStop() throws(MartletError) {
        try expectRunning()
        machine.requestShutdown()
    }

    /// Presses the power button (ACPI).
    ///
    /// - Throws: As ``requestStop()``.
    public func pressPowerButton() throws(MartletError) {
        try expectRunning()
        machine.pressPowerButton()
    }

    /// Presses Ctrl-Alt-Del on the guest's keyboard.
    ///
    /// - Throws: As ``requestStop()``.
    public func pressControlAltDelete() throws(MartletError) {
        try expectRunning()
        machine.pressControlAltDelete()
    }

    private func expectRunning() throws(MartletError) {
        let state = state
        guard state == .running else { throw MartletError(.notRunning, "the machine is not running: it is \(state)") }
    }

    /// Ends the machine at once, as if its power were cut, and returns when it has ended.
    ///
    /// A machine that ends already, or has ended, keeps its outcome.
    ///
    /// - Throws: ``MartletError`` with the code ``MartletError/Code/notRunning`` where it was not started yet.
    public func stop() async throws(MartletError) {
        guard state != .stopped else { throw MartletError(MachineError.notRunning) }
        machine.stop(outputGrace: Self.outputGrace)
        _ = await machine.wait()
    }

    /// Waits until the machine has ended.
    ///
    /// - Returns: The outcome: at once, if it has already ended.
    public func waitUntilStopped() async -> Outcome {
        Outcome(await machine.wait())
    }
}
