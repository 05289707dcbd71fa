// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import MachineRegistry
import MachineSession

/// `martlet rm`: forgets machines that have ended.
struct RemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm",
        abstract: "Remove machines that have ended: their logs and what is known of their end."
    )

    @Argument(help: "The names of the machines.", completion: .machineNames)
    var names: [String] = []

    @Flag(help: "All that have ended.")
    var all = false

    @Flag(name: .shortAndLong, help: "Also those that run: they are ended first.")
    var force = false

    mutating func validate() throws {
        guard all != !names.isEmpty else { throw ValidationError("Name the machines, or give --all.") }
        for name in names where MachineName(name) == nil {
            throw ValidationError("'\(name)' is no name of a machine: \(MachineName.rule).")
        }
    }

    func run() throws {
        let runtime = try RuntimeFolder.ofThisUser()
        var hasFailed = false
        // One that cannot be removed does not keep the others.
        func remove(_ folder: () throws -> MachineFolder) {
            do {
                let folder = try folder()
                if force, folder.isAlive { try MachineClient(folder).end() }
                try folder.remove()
            } catch {
                Messages.write("\(error)")
                hasFailed = true
            }
        }
        if all {
            for folder in try runtime.machines() where force || !folder.isAlive { remove { folder } }
        } else {
            for name in names.compactMap(MachineName.init) { remove { try runtime.machine(name) } }
        }
        try runtime.sweep()
        if hasFailed { throw ExitCode.failure }
    }
}
