// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Host
import JSON
import MachineRegistry

/// `martlet pause`: pauses a machine.
struct PauseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause",
        abstract: "Pause a machine: no vCPU runs and no disk is written until it is resumed."
    )

    @OptionGroup var machine: MachineArgument

    func run() throws {
        try machine.change(to: "Paused")
    }
}

extension MachineArgument {
    /// Pauses or resumes the machine.
    fileprivate func change(to state: JSONValue) throws {
        let client = try client()
        try client.checkPresence()
        try client.request("PATCH", "/vm", ["state": state], until: .after(.seconds(10)))
    }
}

/// `martlet resume`: a machine continues.
struct ResumeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume",
        abstract: "Resume a paused machine."
    )

    @OptionGroup var machine: MachineArgument

    func run() throws {
        try machine.change(to: "Resumed")
    }
}
