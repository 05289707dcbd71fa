// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Host
import MachineRegistry

/// `martlet rm`: forgets machines that have ended.
struct RemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm",
        abstract: "Remove machines that have ended, with their logs and results."
    )

    @Argument(help: "The names of the machines.", completion: .machineNames)
    var names: [String] = []

    @Flag(help: "Remove all machines that have ended.")
    var all = false

    @Flag(name: .shortAndLong, help: "Also remove running machines; they are ended first.")
    var force = false

    mutating func validate() throws {
        guard all != !names.isEmpty else { throw ValidationError("Name the machines, or give --all.") }
        for name in names { _ = try MachineName(argument: name) }
    }

    func run() throws {
        let runtime = try RuntimeFolder.ofThisUser()
        var hasFailed = false
        // A machine that cannot be removed does not keep the others.
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
