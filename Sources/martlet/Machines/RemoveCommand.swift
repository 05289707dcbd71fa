// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import MachineRegistry

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
        let runtime = try RuntimeFolder.standard()
        let folders =
            all
            ? try runtime.machines().filter { force || !$0.isAlive }
            : try names.compactMap(MachineName.init).map { try runtime.machine($0) }
        for folder in folders {
            if force, folder.isAlive { try KillCommand.end(MachineClient(folder)) }
            try folder.remove()
        }
        try runtime.sweep()
    }
}
