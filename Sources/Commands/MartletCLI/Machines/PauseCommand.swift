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
        let client = try machine.client()
        try client.checkPresence()
        try client.request("PATCH", "/vm", ["state": "Paused"], until: .after(.seconds(10)))
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
        let client = try machine.client()
        try client.checkPresence()
        try client.request("PATCH", "/vm", ["state": "Resumed"], until: .after(.seconds(10)))
    }
}
