// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import MachineRegistry
import MachineSession

/// The name of a machine on the command line, which a shell completes.
struct MachineArgument: ParsableArguments {
    @Argument(help: "The name of the machine.", completion: .machineNames)
    var name: String

    /// The machine's folder.
    ///
    /// - Returns: That of a machine which runs, or has ended and was not removed.
    /// - Throws: `RegistryError` where there is no such machine.
    func folder() throws -> MachineFolder {
        guard let name = MachineName(name) else {
            throw ValidationError("'\(name)' is no name of a machine: \(MachineName.rule).")
        }
        return try RuntimeFolder.ofThisUser().machine(name)
    }

    /// The way to the machine's process.
    ///
    /// - Returns: A client that has not connected yet.
    /// - Throws: `RegistryError` where it has ended.
    func client() throws -> MachineClient {
        let client = try MachineClient(try folder())
        guard client.machine.isAlive else {
            client.folder.removeStaleSockets()
            throw RegistryError("machine '\(name)' has ended; `martlet logs \(name)` shows what it said")
        }
        return client
    }
}

extension RuntimeFolder {
    /// The folder of this user's machines; says so where `XDG_RUNTIME_DIR` is no good.
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
