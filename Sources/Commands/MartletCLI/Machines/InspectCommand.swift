// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Host
import JSON
import MachineRegistry
import MachineSession
import SystemPackage

/// `martlet inspect`: all about one machine.
struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Show a machine's configuration, and its state or outcome, as JSON."
    )

    @OptionGroup var machine: MachineArgument

    func run() throws {
        let folder = try machine.folder()
        let limit = TimeLimit.after(MachineSummary.patience)
        guard let summary = MachineSummary(of: folder, until: limit) else {
            throw RegistryError("machine '\(folder.name)' was removed just now")
        }
        var object: JSONObject = [
            "name": .string(folder.name.text), "folder": .string(folder.path.hostText),
            "state": .string(summary.state),
        ]
        let client = try MachineClient(folder)
        if client.machine.isAlive, let machine = try? client.request("GET", "/martlet/machine", until: limit) {
            object["machine"] = machine
            if let rights = client.machine.processID.flatMap({ ProcessRights(of: $0) }) {
                object["sandbox"] = rights.json(opening: machine["opened_folders"])
            }
            object["config"] = try client.request("GET", "/vm/config", until: limit)
        } else {
            object["result"] = client.machine.value(of: .result) { Messages.write($0) }
            object["config"] = client.machine.value(of: .configuration) { Messages.write($0) }
        }
        printAnswer(JSONValue.object(object).prettyText)
    }
}

extension ProcessRights {
    /// The rights for programs, with the folders in which files are opened while the machine runs.
    fileprivate func json(opening folders: JSONValue) -> JSONValue {
        [
            "system_calls": filterCount > 0 ? "filtered" : "not filtered", "filters": .integer(Int64(filterCount)),
            "no_new_privs": .bool(gainsNoPrivileges), "capabilities": .string(capabilities),
            "landlock_abi": ProcessRights.landlockVersion.map { .integer(Int64($0)) } ?? .null,
            "opened_folders": folders, "user": .integer(Int64(userID)), "group": .integer(Int64(groupID)),
            "jailed": .bool(isJailed), "open_files": .string(descriptorLimit),
        ]
    }
}
