// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import JSON
import MachineRegistry

/// `martlet stop`: the guest is asked to shut down, and has some time for it.
struct StopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop",
        abstract: "Ask a guest to shut down, and end its machine if it does not.",
        discussion: """
            The guest hears the power button where its kernel has ACPI, and Ctrl-Alt-Del else, or when the button did not \
            help for half the time. A machine that was paused is resumed for it.
            """
    )

    @OptionGroup var machine: MachineArgument

    @Option(name: .shortAndLong, help: ArgumentHelp("How long the guest may take.", valueName: "seconds"))
    var timeout = 30

    mutating func validate() throws {
        guard (0...86400).contains(timeout) else { throw ValidationError("--timeout is 0 to 86400 seconds.") }
    }

    func run() throws {
        let client = try machine.client()
        try client.request("PATCH", "/vm", ["state": "Resumed"])
        let method = try client.act("Shutdown")["method"].string ?? ""
        let time = Duration.seconds(timeout)
        if method == "power-button" {
            if try client.waitForEnd(timeout: time / 2) != nil {
                return say("shut down after its power button was pressed")
            }
            try client.request("PUT", "/actions", ["action_type": "SendCtrlAltDel"])
            if try client.waitForEnd(timeout: time / 2) != nil { return say("shut down after Ctrl-Alt-Del") }
        } else if try client.waitForEnd(timeout: time) != nil {
            return say("shut down after Ctrl-Alt-Del")
        }
        try KillCommand.end(client)
        say("did not shut down within \(timeout) s and was ended")
    }

    private func say(_ what: String) {
        print("\(machine.name) \(what)")
    }
}

/// `martlet kill`: a machine ends at once.
struct KillCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kill",
        abstract: "End a machine at once, without asking its guest."
    )

    @OptionGroup var machine: MachineArgument

    func run() throws {
        try Self.end(try machine.client())
    }

    /// Ends a machine, and its process if it does not answer.
    static func end(_ client: MachineClient) throws {
        // Who answers is about to end, and writes down how.
        let isEnding = (try? client.act("Kill", timeout: .seconds(5))) != nil
        let patience = Duration.seconds(isEnding ? 30 : 1)
        if (try? client.waitForEnd(timeout: patience)) != nil || !client.folder.isAlive { return }
        client.killProcess()
        guard client.folder.waitUntilDead() else {
            throw RegistryError("machine '\(client.folder.name)' cannot be ended: the host holds its process")
        }
    }
}
