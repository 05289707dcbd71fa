// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import Machine
import MachineModel
import MachineProcess
import MachineRegistry
import MachineSession
import Snapshot
import SystemPackage

/// `martlet run --restore FOLDER [--same-identity] [[--name NAME] --detach]` and no other option: a machine on this terminal, or in
/// the background.
///
/// The parser of all commands and options takes longer than a restore, so this command does not wait for it.
struct PlainRestore {
    private var folder: String
    private var keepsIdentity = false
    private var isDetached = false
    private var name: MachineName?

    /// Recognises the command.
    ///
    /// - Parameter arguments: Those of the process. Whatever they have besides is for the parser, as are their mistakes.
    init?(_ arguments: [String]) {
        guard arguments.first == "run" else { return nil }
        var values: [String: String] = [:]
        var rest = arguments.dropFirst()
        while let argument = rest.popFirst() {
            let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let option = parts[0]
            let value: String?
            switch option {
            case "--same-identity", "--detach": value = parts.count == 1 ? "" : nil
            case "--restore", "--name":
                value = parts.count == 2 ? parts[1] : rest.popFirst().flatMap { $0.hasPrefix("-") ? nil : $0 }
                guard value?.isEmpty == false else { return nil }
            default: return nil
            }
            guard let value, values.updateValue(value, forKey: option) == nil else { return nil }
        }
        guard let folder = values["--restore"] else { return nil }
        self.folder = folder
        (keepsIdentity, isDetached) = (values["--same-identity"] != nil, values["--detach"] != nil)
        if let text = values["--name"] {
            // A named machine in the foreground gets this terminal attached.
            guard isDetached, let name = MachineName(text) else { return nil }
            self.name = name
        }
    }

    /// Lets the saved machine go on: here up to its end, or in the background.
    ///
    /// - Returns: The exit status; `nil` where the machine needs options that say where its networks lead.
    /// - Throws: The reason why it cannot be restored.
    func run() throws -> Int32? {
        let path = FilePath(hostText: folder).absolute
        guard !isDetached else {
            try leave(to: path)
            return nil
        }
        guard let start = try begin(path) else { return nil }
        var settings = SessionSettings()
        settings.escape = EscapeKey.standard.filter
        return Int32(try MachineSession(settings).run(.restore(start.snapshot, start.options)))
    }

    /// Reads the snapshot, while a thread makes the machine, and has the thread restore it.
    ///
    /// - Returns: `nil` where the machine has networks.
    private func begin(_ path: FilePath) throws -> (snapshot: MachineSnapshot, options: RestoreOptions)? {
        var options = RestoreOptions()
        (options.keepsIdentity, options.headStart) = (keepsIdentity, HeadStart(for: SnapshotPlace(folder: path)))
        // The thread has enough to do without the program's variables until then.
        ProcessStart.populateData()
        let snapshot = try MachineSnapshot(path)
        guard snapshot.machine.configuration.networkInterfaces.isEmpty else {
            options.headStart?.cancel()
            return nil
        }
        options.headStart?.restore(snapshot, options)
        return (snapshot, options)
    }

    /// Lets the machine go on in the background, and ends; returns where that needs options.
    private func leave(to path: FilePath) throws {
        let runtime = try RuntimeFolder.ofThisUser()
        try MachineLauncher(in: runtime).leave(to: name) { settle in
            guard let start = try begin(path) else { return nil }
            return try run(start.snapshot, start.options, in: try settle(), beneath: runtime)
        }
    }

    /// Runs the machine in this process, which is in the machine's folder.
    private func run(
        _ snapshot: MachineSnapshot,
        _ options: RestoreOptions,
        in machine: SettledMachine,
        beneath runtime: RuntimeFolder
    ) throws -> UInt8 {
        let folder = machine.folder
        var options = options
        if snapshot.machine.configuration.vsock != nil { options.vsockPath = folder.path(.vsock) }
        let (description, headStart) = (snapshot.description(options), options.headStart)
        var process = MachineProcess()
        process.settings.identifier = folder.name.text
        process.settings.audience = .log
        process.settings.console = .none
        process.settings.consoleLog = folder.path(.consoleLog)
        process.settings.apiSocket = folder.path(.apiSocket)
        process.settings.listeningDescriptor = machine.listeningDescriptor
        process.settings.sandbox.openedFolders = [folder.path]
        process.settings.sandbox.onFailure = { machine.reportFailure($0) }
        process.tenure = machine.tenure
        process.resultFile = try ResultFile(path: folder.path(.result))
        return try process.run(.restore(snapshot, options)) {
            // Beside the start: while the head start has a processor, and then when it has none.
            do throws(RegistryError) {
                try runtime.sweep()
                try runtime.trimLogs()
                headStart?.wait()
                try MachineFolder.save(description, in: folder.path)
            } catch {
                machine.reportFailure("\(error)")
                Messages.flush()
                _exit(1)
            }
        } onServing: { notes in
            machine.reportStart(notes)
        }
    }
}
