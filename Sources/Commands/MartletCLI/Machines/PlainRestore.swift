// SPDX-License-Identifier: Apache-2.0

import Host
import Machine
import MachineModel
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
        guard !isDetached else { return try launch(path) }
        ProcessStart.populateData()
        var options = RestoreOptions()
        (options.keepsIdentity, options.headStart) = (keepsIdentity, HeadStart(for: SnapshotPlace(folder: path)))
        let snapshot = try MachineSnapshot(path)
        guard snapshot.machine.configuration.networkInterfaces.isEmpty else { return nil }
        options.headStart?.restore(snapshot, options)
        var settings = SessionSettings()
        settings.escape = EscapeKey.standard.filter
        return Int32(try MachineSession(settings).run(.restore(snapshot, options)))
    }

    private func launch(_ path: FilePath) throws -> Int32? {
        let launcher = MachineLauncher(in: try RuntimeFolder.ofThisUser())
        guard let (client, notes) = try launcher.launch(name, restoring: path, keepsIdentity: keepsIdentity) else {
            return nil
        }
        for note in notes { Messages.write(note) }
        try client.writeName()
        Messages.flush()
        return 0
    }
}
