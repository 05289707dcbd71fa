// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import MachineRegistry

/// The options by which a machine gets a name, and a process of its own.
struct NameOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Run the machine in a process of its own that outlives this terminal, under this name.",
            valueName: "name"
        )
    )
    var name: String?

    @Flag(name: .shortAndLong, help: "The same, and return at once; without --name, a generated name is printed.")
    var detach = false

    @Flag(
        name: .customLong("rm"),
        help: "Remove a named machine as soon as it ends; a machine without a name leaves nothing."
    )
    var remove = false

    func validate() throws {
        if let name { _ = try MachineName(argument: name) }
    }

    /// Indicates whether the machine outlives the command.
    var isNamed: Bool { name != nil || detach }

    /// The name; `nil` for one that is free.
    var machineName: MachineName? { name.flatMap(MachineName.init) }
}
