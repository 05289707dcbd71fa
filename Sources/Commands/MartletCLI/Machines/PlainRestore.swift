// SPDX-License-Identifier: Apache-2.0

import Host
import Machine
import MachineModel
import MachineRegistry
import MachineSession
import SystemPackage

/// `martlet run --restore FOLDER [--same-identity]` and no other option: a machine on this terminal.
///
/// The parser of all commands and options takes longer than a restore, so this command does not wait for it.
struct PlainRestore {
    private var folder: String
    private var options = RestoreOptions()

    /// Recognises the command.
    ///
    /// - Parameter arguments: Those of the process. Whatever they have besides is for the parser, as are their mistakes.
    init?(_ arguments: [String]) {
        guard arguments.first == "run" else { return nil }
        var folder: String?
        var rest = arguments.dropFirst()
        while let argument = rest.popFirst() {
            let value: String?
            switch argument {
            case "--same-identity" where !options.keepsIdentity:
                options.keepsIdentity = true
                continue
            case "--restore": value = rest.popFirst().flatMap { $0.hasPrefix("-") ? nil : $0 }
            case _ where argument.hasPrefix("--restore="): value = String(argument.dropFirst("--restore=".count))
            default: return nil
            }
            guard folder == nil, let value, !value.isEmpty else { return nil }
            folder = value
        }
        guard let folder else { return nil }
        self.folder = folder
    }

    /// Lets the saved machine go on, up to its end.
    ///
    /// - Returns: The exit status; `nil` where the machine needs options that say where its networks lead.
    /// - Throws: What keeps it from going on.
    func run() throws -> Int32? {
        let snapshot = try MachineSnapshot(FilePath(hostText: folder).absolute)
        guard snapshot.machine.configuration.networkInterfaces.isEmpty else { return nil }
        var settings = SessionSettings()
        settings.escape = EscapeKey.standard.filter
        return Int32(try MachineSession(settings).run(.restore(snapshot, options)))
    }
}
