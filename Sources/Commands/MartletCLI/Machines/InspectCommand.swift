// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import JSON
import MachineRegistry
import SystemPackage

/// `martlet inspect`: all about one machine.
struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Show what a machine is made of, and how it is or ended, as JSON."
    )

    @OptionGroup var machine: MachineArgument

    func run() throws {
        let folder = try machine.folder()
        guard let summary = MachineSummary(of: folder) else {
            throw RegistryError("machine '\(folder.name)' was removed just now")
        }
        var object: JSONObject = [
            "name": .string(folder.name.text), "folder": .string(folder.path.string),
            "state": .string(summary.state),
        ]
        if folder.isAlive {
            let client = MachineClient(folder)
            object["machine"] = try client.request("GET", "/martlet/machine")
            object["config"] = try client.request("GET", "/vm/config")
        } else {
            object["result"] = folder.value(of: folder.result)
            object["config"] = folder.value(of: folder.configuration)
        }
        print(JSONValue.object(object).prettyText)
    }
}
