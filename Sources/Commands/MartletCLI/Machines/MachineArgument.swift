// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Host
import MachineRegistry

/// The name of a machine on the command line, which a shell completes.
struct MachineArgument: ParsableArguments {
    @Argument(help: "The name of the machine.", completion: .machineNames)
    var name: String

    func folder() throws -> MachineFolder {
        try RuntimeFolder.ofThisUser().machine(MachineName(argument: name))
    }

    /// The way to the machine's process.
    ///
    /// - Returns: A client that has not connected yet.
    /// - Throws: `RegistryError` where it has ended.
    func client() throws -> MachineClient {
        let client = try MachineClient(try folder())
        guard client.machine.isAlive else {
            client.folder.removeStaleSockets()
            throw RegistryError("machine '\(name)' has ended; `martlet logs \(name)` shows its output")
        }
        return client
    }
}

extension MachineName {
    /// Reads a name from the command line.
    init(argument text: String) throws {
        guard let name = MachineName(text) else {
            throw ValidationError("'\(text)' is not a machine's name: \(MachineName.rule).")
        }
        self = name
    }
}

extension RuntimeFolder {
    /// The folder of this user's machines; prints a message where `XDG_RUNTIME_DIR` is unusable.
    static func ofThisUser() throws(RegistryError) -> RuntimeFolder {
        try standard { Messages.write($0) }
    }
}

extension CompletionKind {
    /// All machines, also those that have ended.
    static var machineNames: CompletionKind {
        .custom { _, _, _ in
            let machines = (try? RuntimeFolder.standard().machines()) ?? []
            return machines.map(\.name.text)
        }
    }
}
