// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import JSON
import Machine
import MachineRegistry
import MachineSession
import Host

/// The start of a machine in a process of its own, for `run` and `run --image`.
struct NamedStart {
    private let naming: NameOptions
    private let sandbox: Sandbox.Settings
    private let escape: EscapeKey
    /// Indicates whether notes on the host and the kernel are for this user.
    var showsNotes = true
    /// The first data of the metadata service.
    var metadata: JSONValue?

    init(_ naming: NameOptions, sandbox: Sandbox.Settings, escape: EscapeKey) {
        (self.naming, self.sandbox, self.escape) = (naming, sandbox, escape)
    }

    /// Starts a machine in a process of its own, and attaches to it unless that is not wanted.
    ///
    /// `name` is `nil` for one that is free.
    func launch(_ source: MachineSource, name: MachineName?) throws -> ExitCode {
        let runtime = try RuntimeFolder.ofThisUser()
        let launcher = MachineLauncher(in: runtime, sandbox: sandbox)
        var connection: ConsoleConnection?
        let client = try launcher.launch(
            name,
            source,
            isRemovedAtEnd: naming.remove
        ) { client throws(RegistryError) in
            if let metadata { try client.request("PUT", "/mmds", metadata) }
            if !naming.detach { connection = try client.attach(isWatching: false) }
        }
        if showsNotes {
            let notes = try? client.request("GET", "/martlet/machine")["notes"].elements.compactMap(\.string)
            // A machine that has already ended reports its end alone.
            for note in notes ?? InterpretedHost.notes(for: source.configuration) { Messages.write(note) }
        }
        if let connection {
            let status = try AttachCommand.serve(connection, of: client, escape: escape)
            // The folder of a machine that could not remove it.
            if naming.remove, sandbox.isConfined { try? runtime.sweep() }
            return status
        }
        try client.writeName()
        return .success
    }
}

extension MachineClient {
    /// Tells the user the name of a machine that was started in the background.
    ///
    /// - Throws: `RegistryError`, which has the name, where standard output takes nothing.
    func writeName() throws(RegistryError) {
        do throws(StandardOutput.Failure) {
            try StandardOutput.write(line: folder.name.text)
        } catch {
            throw RegistryError("\(error); the machine runs as '\(folder.name)'")
        }
    }
}
