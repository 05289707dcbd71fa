// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Host
import JSON
import MachineRegistry

/// `martlet pause`: a machine stands still.
struct PauseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause",
        abstract: "Hold a machine: no vCPU runs, no disk is written, until it is resumed."
    )

    @OptionGroup var machine: MachineArgument

    func run() throws {
        let client = try machine.client()
        try client.checkPresence()
        try client.request("PATCH", "/vm", ["state": "Paused"], until: .after(.seconds(10)))
    }
}

/// `martlet resume`: a machine goes on.
struct ResumeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume",
        abstract: "Let a machine that was paused go on."
    )

    @OptionGroup var machine: MachineArgument

    func run() throws {
        let client = try machine.client()
        try client.checkPresence()
        try client.request("PATCH", "/vm", ["state": "Resumed"], until: .after(.seconds(10)))
    }
}
