// SPDX-License-Identifier: Apache-2.0

import Glibc
package import Host
import JSON
import Machine
import MachineAPI
import MachineModel
import SystemPackage

/// Starts machines that have a process of their own.
package struct MachineLauncher {
    /// The time that a start may take, of which unpacking the kernel is the most.
    private static let patience = Duration.seconds(120)

    private let runtime: RuntimeFolder
    private let sandbox: Sandbox.Settings

    /// - Parameters:
    ///   - runtime: The folder of all machines.
    ///   - sandbox: The sandbox of the machines' processes.
    package init(in runtime: RuntimeFolder, sandbox: Sandbox.Settings = .init()) {
        (self.runtime, self.sandbox) = (runtime, sandbox)
    }

    /// Starts a machine and returns when its guest runs.
    ///
    /// - Parameters:
    ///   - name: The machine's name; `nil` for a generated one.
    ///   - source: The machine's configuration or snapshot.
    ///   - isRemovedAtEnd: Whether the machine's process removes the folder when the machine has ended.
    ///   - prepare: Called when the machine is configured and about to start: the time to attach to its console, from
    ///     its first byte on.
    /// - Returns: The machine.
    /// - Throws: `RegistryError`; nothing is left of the machine then.
    package func launch(
        _ name: MachineName?,
        _ source: MachineSource,
        isRemovedAtEnd: Bool = false,
        prepare: (MachineClient) throws(RegistryError) -> Void = { _ in }
    ) throws(RegistryError) -> MachineClient {
        try runtime.sweep()
        try runtime.trimLogs()
        let limit = TimeLimit.after(Self.patience)
        let (client, process) = try make(name, isRemovedAtEnd: isRemovedAtEnd) { (folder, hold) throws(RegistryError) in
            (
                try MachineClient(folder),
                try startProcess(of: source, in: folder, holding: hold, isRemovedAtEnd: isRemovedAtEnd)
            )
        }
        do throws(RegistryError) {
            // A connection that stays: the monitor ends when the last one goes before the start.
            try client.request("GET", "/", until: limit)
            if let restoration = source.restoration {
                var options = restoration.options
                if source.configuration.vsock != nil {
                    options.vsockPath = options.vsockPath ?? client.folder.path(.vsock)
                }
                let load = SnapshotLoad(folder: restoration.folder, options)
                try client.request("PUT", "/snapshot/load", .encoding(load), until: limit)
                try prepare(client)
                // A machine that starts paused gets an order as well: without one, the monitor abandons it when this process ends.
                let state: JSONValue = restoration.options.isPaused ? "Paused" : "Resumed"
                try client.request("PATCH", "/vm", ["state": state], until: limit)
            } else {
                try prepare(client)
                try client.request("PUT", "/actions", ["action_type": "InstanceStart"], until: limit)
            }
        } catch {
            throw abandon(client, process) ?? error
        }
        return client
    }

    /// Starts a machine in a process that goes on in the memory of this one, which takes less time than a new program; this process
    /// ends when the guest runs: with the machine's name on standard output, or the reason why it does not run.
    ///
    /// - Parameters:
    ///   - name: The machine's name; `nil` for a generated one.
    ///   - body: Called there, with the function that makes the machine's folder; runs the machine to its end, and returns the exit
    ///     status, or `nil` where this is no way to start it: then it has made no folder and left no thread, and this function
    ///     returns.
    /// - Throws: `RegistryError`: there is no process.
    package func leave(
        to name: MachineName?,
        _ body: (_ settle: () throws(RegistryError) -> SettledMachine) throws -> UInt8?
    ) throws(RegistryError) {
        do throws(Errno) {
            _ = try SuccessorProcess.leave(
                died: "Error: the machine's process died before its guest ran\n",
                unheard: "Error: cannot write to standard output; the machine runs: see martlet ps\n"
            ) { report in run(name, body, report) }
        } catch {
            throw RegistryError("cannot make a process: \(error)")
        }
    }

    /// Runs a machine in this process, the successor.
    private func run(
        _ name: MachineName?,
        _ body: (() throws(RegistryError) -> SettledMachine) throws -> UInt8?,
        _ report: SuccessorProcess.Report
    ) -> UInt8 {
        var settled: SettledMachine?
        defer { Messages.flush() }
        do {
            let status = try body { () throws(RegistryError) in
                let machine = try make(name) { (folder, hold) throws(RegistryError) in
                    try SettledMachine(folder, hold, report)
                }
                settled = machine
                return machine
            }
            // The guest may have ended before its requests were served.
            settled?.reportStart([])
            return status ?? 0
        } catch {
            let reason = "\(error)"
            if let settled { settled.reportFailure(reason) } else { SettledMachine.reportFailure(reason, report) }
            return 1
        }
    }

    /// Ends a machine that failed to start, and removes its files.
    ///
    /// - Returns: The last words of a monitor that has ended by itself.
    private func abandon(_ client: MachineClient, _ process: RunningProcess) -> RegistryError? {
        try? process.send(SIGKILL)
        // A process that ends lets go of its lock some time before it is over.
        let endedByItself = process.waitUntilEnded(timeout: .seconds(30)) && process.takeStatus() != 128 + SIGKILL
        var words = String(decoding: client.machine.contents(of: .monitorLog) ?? [], as: UTF8.self)
        if words.hasPrefix("martlet: ") { words.removeFirst("martlet: ".count) }
        while words.last?.isNewline == true { words.removeLast() }
        try? client.folder.remove()
        return endedByItself && !words.isEmpty ? RegistryError(words) : nil
    }

    private func startProcess(
        of source: MachineSource,
        in folder: MachineFolder,
        holding hold: MachineFolder.Hold,
        isRemovedAtEnd: Bool
    ) throws(RegistryError) -> RunningProcess {
        var source = source
        source.addDefaultVsock(at: folder.path(.vsock))
        if let user = sandbox.user { try folder.give(to: user, isReached: sandbox.jail != nil) }
        try MachineFolder.save(source.configuration, in: folder.path)
        // The monitor ends by itself when its last client leaves before the machine was started.
        var arguments = ["--end-when-unused"]
        if source.restoration == nil {
            arguments += ["--config-file", folder.path(.configuration).hostText, "--no-start"]
        }
        if let template = source.template { arguments += ["--save-template", template.hostText] }
        if let program = source.program { arguments += ["--program", program] }
        return try MonitorProcess.start(
            in: folder,
            holding: hold,
            arguments: arguments,
            files: source.files,
            sandbox: sandbox,
            isRemovedAtEnd: isRemovedAtEnd,
            usesHostNetwork: source.configuration.networkInterfaces.contains {
                $0.backend == .user || $0.backend == .tap
            }
        )
    }

    /// Makes a machine's folder, and its process by `body`; removes the folder where that fails.
    ///
    /// When `body` returns, the process alone has the lock: if it dies, that shows.
    private func make<R>(
        _ name: MachineName?,
        isRemovedAtEnd: Bool = false,
        _ body: (MachineFolder, MachineFolder.Hold) throws(RegistryError) -> R
    ) throws(RegistryError) -> R {
        let (folder, hold) = try makeFolder(name, isRemovedAtEnd)
        do throws(RegistryError) {
            return try body(folder, hold)
        } catch {
            hold.lock.release()
            try? folder.remove()
            throw error
        }
    }

    private func makeFolder(
        _ name: MachineName?,
        _ isRemovedAtEnd: Bool
    ) throws(RegistryError) -> (MachineFolder, MachineFolder.Hold) {
        if let name { return try MachineFolder.make(name, in: runtime, isRemovedAtEnd: isRemovedAtEnd) }
        var attempts = 0
        while true {
            attempts += 1
            do throws(RegistryError) {
                return try MachineFolder.make(.random(), in: runtime, isRemovedAtEnd: isRemovedAtEnd)
            } catch {
                guard attempts < 100 else { throw error }
            }
        }
    }
}
