// SPDX-License-Identifier: Apache-2.0

import Console
import Glibc
import HTTP
import Host
import Logging
package import Machine
package import MachineAPI
import MachineModel
import Metadata
import Synchronization
import SystemPackage

/// The run of one machine in this process: console, signals, messages, API and end.
///
/// `martlet run` and `martlet-monitor` are this, with other settings: so a machine behaves the same in either.
package final class MachineSession: Sendable {
    /// The time that output may still take after a signal: for a reader that is merely slow.
    private static let grace = Duration.seconds(1)

    let settings: SessionSettings
    let sandbox: Sandbox
    private let onEnd: @Sendable (MachineResult) -> Void
    private let onExit: @Sendable (MachineResult?) throws -> Void
    /// The signal by which this process is to end, or 0.
    private let signal = Atomic<CInt>(0)
    private let service = Mutex<MachineService?>(nil)
    private let pod = Mutex<SessionPod?>(nil)
    let server = Mutex<HTTPServer?>(nil)
    /// Does what requests ask for, so that the thread of the server opens no files and needs few system calls.
    let requests: WorkThread?

    /// The exit status for each signal that ends Firecracker with one; empty where the process does not stand in for it.
    private let signalStatuses: [CInt: CInt]

    /// Prepares a run.
    ///
    /// `onEnd` is called when the machine has ended, before its clients learn it; `onExit` when they have, as the last act of
    /// the process, with `nil` where there was no machine.
    package init(
        _ settings: SessionSettings,
        onEnd: @escaping @Sendable (MachineResult) -> Void = { _ in },
        onExit: @escaping @Sendable (MachineResult?) throws -> Void = { _ in }
    ) {
        (self.settings, self.onEnd, self.onExit) = (settings, onEnd, onExit)
        signalStatuses = settings.dialect == .firecracker ? FirecrackerSignals.statuses : [:]
        // Requests have JSON, and make machines.
        requests = settings.apiSocket.map { _ in WorkThread("requests", stackByteCount: 2 << 20) }
        var wishes = settings.sandbox
        wishes.keptDescriptors += settings.descriptors.values + [settings.listeningDescriptor].compactMap(\.self)
        // Requests name files wherever they are, unless the settings say otherwise.
        if settings.apiSocket != nil, wishes.openedFolders.isEmpty { wishes.openedFolders = ["/"] }
        wishes.openedFolders += [settings.savedBeneath].compactMap(\.self)
        sandbox = Sandbox(wishes)
    }

    /// Runs a machine to its end, and prints messages for the user.
    ///
    /// - Parameters:
    ///   - start: The machine; `nil` for one that is described over the API. Taken when there is a log for its errors.
    ///   - onServing: Called with the notes about the machine when it runs, or is to be described, and its API answers: after what
    ///     was queued before the first request. Never called where there is no API.
    /// - Returns: The exit status; does not return when a signal ended the machine.
    /// - Throws: The reason why it cannot start.
    package func run(
        _ start: @autoclosure () throws -> MachineStart?,
        onServing: @escaping @Sendable (_ notes: [String]) -> Void = { _ in }
    ) throws -> UInt8 {
        HostThread.prepareEach { [sandbox] name in sandbox.restrictNewThread(name) }
        if settings.dialect == .firecracker {
            FirecrackerSignals.ignoreKick()
            // Comes to the thread that writes the metrics when a request wants them: what came before is counted in them.
            if let requests {
                SignalWatch.shut(SIGPIPE)
                requests.run { SignalWatch.admit(SIGPIPE) }
            }
        }
        let lines: MessageQueue = settings.dialect == .firecracker ? .standardOutput : .standardError
        for queue in [MessageQueue.standardError, lines] { try queue.start() }
        defer { Messages.flush() }
        // All paths are absolute then; the process keeps no file system in use, wherever it was started.
        if settings.listeningDescriptor != nil { _ = unsafe chdir("/") }
        let output: @Sendable (LogEvent) -> Void = { event in Messages.write("\(event.level): \(event.text)") }
        let log = MonitorLog(
            identifier: settings.identifier,
            isVerbose: settings.isVerbose,
            lines: lines,
            output: settings.audience == .user ? output : nil
        )
        defer { Terminal.restore() }
        let result: MachineResult?
        do {
            result = try run(start, log, onServing)
            try onExit(result)
        } catch {
            endIfSignalled()
            log.reportFailure("\(error)")
            if settings.dialect == .firecracker { log.reportFailure("Firecracker exiting with error. exit_code=1") }
            throw error
        }
        Terminal.restore()
        if settings.audience == .user { for note in result?.notes ?? [] { Messages.write(note) } }
        endIfSignalled()
        if settings.audience == .user, let message = result?.message { Messages.write(message) }
        if settings.dialect == .firecracker {
            log.logger.info("Firecracker exiting successfully. exit_code=\(result?.exitStatus ?? 0)")
        }
        return result?.exitStatus ?? 0
    }

    /// Queues work for the thread of requests, before the first request.
    ///
    /// - Parameter work: Called while the machine starts; never called where there is no API.
    package func beforeRequests(_ work: @escaping @Sendable () -> Void) {
        requests?.run(work)
    }

    private func run(
        _ start: () throws -> MachineStart?,
        _ log: MonitorLog,
        _ onServing: @escaping @Sendable ([String]) -> Void
    ) throws -> MachineResult? {
        let hasAPI = settings.apiSocket != nil
        let metadataLimit = settings.metadataLimit ?? settings.requestByteLimit ?? MetadataService.usualLimit
        let metadata = MetadataService(limit: metadataLimit)
        let console = try makeConsole(log)
        let program = try naming({ .descriptor("the program", $0) }) {
            try settings.program.map { try SessionProgram($0, console: console) }
        }
        let pod = try naming({ .descriptor("the pod", $0) }) { try settings.pod.map { try SessionPod($0) } }
        self.pod.withLock { $0 = pod }
        var attachment = self.attachment
        attachment.port = program?.port
        let service = MachineService(
            identifier: settings.identifier,
            attachment: attachment,
            console: console,
            log: log,
            program: program,
            dialect: settings.dialect,
            metadata: metadata,
            startTime: settings.startTime,
            descriptors: settings.descriptors,
            openedFolders: settings.sandbox.mode == .off ? ["/"] : sandbox.openedFolders,
            onReady: { [self] machine in
                try prepare(machine, log)
                if !sandbox.openedFolders.isEmpty { ProcessFiles.open() }
                try sandbox.enter(log: log.fileDescriptor)
                ProcessMemory.endStep()
            },
            onStarted: { [self] in
                if let path = self.service.withLock({ $0 })?.vsockPath {
                    program?.start(over: path)
                    pod?.start(over: path)
                }
                restrictThreadsOfRequests()
            },
            prepareThread: { [sandbox, signalStatuses] name in
                sandbox.restrictThread(name)
                // Comes to the thread that writes beyond the limit of a file's size.
                if signalStatuses[SIGXFSZ] != nil { SignalWatch.admit(SIGXFSZ) }
            },
            onEvent: { [self] event in handle(event, log) },
            onEnd: onEnd
        )
        self.service.withLock { $0 = service }
        if let logger = settings.logger { try service.set(logger) }
        if settings.audience == .log { log.reportStart(settings.dialect) }
        if let path = settings.sandbox.filterFile {
            try asFirecracker("") { sandbox.replaceLists(by: try SeccompFilterFile.read(path)) }
        }
        var metadataFailure: APIError?
        if let path = settings.metadataFile {
            do {
                try asFirecracker("") { try metadata.read(path, limit: metadataLimit) }
                log.logger.info("Successfully added metadata to mmds from file")
            } catch let error as APIError where error.status == 413 && settings.dialect == .firecracker {
                metadataFailure = error
            }
        }
        for warning in settings.warnings { log.logger.warning("\(warning)") }
        switch settings.sandbox.mode {
        case .on: break
        case .log: log.logger.warning("the sandbox only logs system calls that it would refuse")
        case .off: log.logger.warning("the sandbox is off: a guest that breaks into this process has all its rights")
        }
        if let metrics = settings.metrics { try service.set(metrics) }
        let start = try asFirecracker("Configuration for VMM from one single json failed: ", in: start)
        // Before the machine: one that is stopped before it starts ends at once when it does.
        // A program that has this process's streams has its signals too.
        let ending = program == nil || hasAPI ? [SIGINT, SIGTERM, SIGHUP, SIGQUIT] : []
        _ = try naming({ .descriptor("signals", $0) }) {
            try SignalWatch(
                ending.filter { signalStatuses[$0] == nil },
                faults: signalStatuses,
                others: hasAPI ? [SIGPIPE] : []
            ) { [self] signal in handle(signal) }
        }
        let server = try naming({ .descriptor("the API", $0) }) { hasAPI ? try makeServer(service) : nil }
        // No thread is made when the guest runs.
        try requests?.start()
        try server?.makeThread()
        self.server.withLock { $0 = server }
        defer { server?.stop() }
        try program?.makeThread { [sandbox] in
            sandbox.restrictThread("program")
        } onEnd: { [weak service] in
            service?.stop()
        }
        defer { program?.join() }
        try pod?.makeThread { [sandbox] in
            sandbox.restrictThread("pod")
        } replace: { [weak service] index, path in
            try service?.replaceDisk(at: index, by: path)
        } onFailure: { [weak service] error in
            log.reportFailure("\(error)")
            service?.stop()
        }
        defer { pod?.join() }
        // Before the socket: Firecracker's machines run when that is there.
        switch start {
        case .restore(let snapshot, let options): try service.start(restoring: snapshot, options)
        case .boot(let configuration):
            try asFirecracker("Could not Start MicroVM from one single json: ") {
                try service.configure(configuration)
                if settings.startsMachine { try service.start() }
            }
            if settings.dialect == .firecracker {
                log.logger.info("Successfully started microvm that was configured from one single json")
            }
        case nil: if takesKeys { try Terminal.enterRawMode(.standardInput) }
        }
        let socket = try makeSocket()
        defer { socket?.removeFile() }
        if let socket { try server?.start(on: socket) }
        if let path = settings.apiSocket {
            log.logger.debug("Listening on API socket (\"\(path)\").")
            log.logger.info("API server started.")
        }
        requests?.run { onServing(service.notes) }
        // Firecracker ends with it only now, and its clients wait for the line before.
        if let metadataFailure { throw metadataFailure }
        sandbox.restrictThread("main")
        if start == nil { ProcessMemory.giveBack() }
        return try service.waitUntilEnded()
    }

    /// Calls `body`, and wraps an error of the host in the error of what was being made.
    private func naming<R>(_ wrap: (Errno) -> MachineError, in body: () throws -> R) throws -> R {
        do {
            return try body()
        } catch let errno as Errno {
            throw wrap(errno)
        }
    }

    /// Calls `body`, and words its error as Firecracker does, after the prefix by which its users find it in the log.
    func asFirecracker<R>(_ words: String, in body: () throws -> R) throws -> R {
        do {
            return try body()
        } catch let error where settings.dialect == .firecracker {
            let error = error as? APIError ?? APIError("\(error)")
            throw APIError(words + error.text(.firecracker), status: error.status)
        }
    }

    // MARK: - The end

    private func handle(_ signal: CInt) {
        guard let status = signalStatuses[signal] else { return end(by: signal) }
        let (code, service) = (SignalWatch.code(of: signal), service.withLock { $0 })
        // The thread whose fault it is waits for this process to end, as does one that wrote beyond the limit of a file's size.
        let isFault = signal == SIGXFSZ || code > 0 && [SIGBUS, SIGSEGV, SIGILL, SIGSYS].contains(signal)
        let isRefusedCall = isFault && signal == SIGSYS
        // The thread has named the call already.
        if isRefusedCall { service?.countRefusedCall() } else { service?.report(signal, code: code) }
        if isFault {
            service?.flushMetrics()
            Messages.flush()
            Terminal.restore()
            _exit(isRefusedCall ? Sandbox.refusedCallStatus : status)
        }
        if signal != SIGPIPE { end(by: signal) }
    }

    func end(by signal: CInt) {
        _ = self.signal.compareExchange(expected: 0, desired: signal, ordering: .sequentiallyConsistent)
        let stop = { @Sendable [self] in _ = service.withLock { $0 }?.stop(outputGrace: Self.grace) }
        if let pod = pod.withLock({ $0 }) { pod.afterContainers(stop) } else { stop() }
    }

    /// Ends this process as a shell expects of one that a signal ended.
    private func endIfSignalled() {
        let signal = signal.load(ordering: .sequentiallyConsistent)
        guard signal != 0 else { return }
        Messages.flush()
        if let status = signalStatuses[signal] {
            Terminal.restore()
            exit(status)
        }
        Terminal.endProcess(bySignal: signal)
    }
}
