// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Host
import JSON
import MachineRegistry

/// `martlet stop`: the guest is asked to shut down, and has some time for it.
struct StopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop",
        abstract: "Ask a guest, or its program, to end, and end the machine if it does not.",
        discussion: """
            The program of a container image gets the image's stop signal. Any other guest hears the power button where its kernel has ACPI, and Ctrl-Alt-Del else, or when the button did not \
            help for half the time. A machine that was paused is resumed for it.
            """
    )

    @OptionGroup var machine: MachineArgument

    @Option(name: .shortAndLong, help: ArgumentHelp("The time that the guest may take.", valueName: "seconds"))
    var timeout = 30

    mutating func validate() throws {
        guard (0...86400).contains(timeout) else { throw ValidationError("--timeout is 0 to 86400 seconds.") }
    }

    func run() throws {
        let client = try machine.client()
        let limit = TimeLimit.after(.seconds(timeout))
        do throws(RegistryError) {
            if let how = try shutDown(client, until: limit) { return say(how) }
        } catch {
            // A monitor's refusal is reported; a monitor that does not answer in the guest's time is ended as an unresponsive guest is.
            guard client.machine.waitUntilDead(until: .after(.zero)) || limit.hasPassed else { throw error }
            if !client.machine.isAlive { return say("has ended") }
        }
        try client.end()
        say("did not shut down within \(timeout) s and was ended")
    }

    /// Asks the guest.
    ///
    /// - Returns: The way it shut down; `nil` where it did not in time.
    private func shutDown(_ client: MachineClient, until limit: TimeLimit) throws(RegistryError) -> String? {
        try client.resume(until: limit)
        let method = try client.act("Shutdown", until: limit)["method"].string
        if method == "signal" {
            return try client.waitForEnd(until: limit) == nil ? nil : "ended after its program got its stop signal"
        }
        if method == "power-button" {
            if try client.waitForEnd(until: limit.atMost(.seconds(timeout) / 2)) != nil {
                return "shut down after its power button was pressed"
            }
            try client.request("PUT", "/actions", ["action_type": "SendCtrlAltDel"], until: limit)
        }
        return try client.waitForEnd(until: limit) == nil ? nil : "shut down after Ctrl-Alt-Del"
    }

    private func say(_ what: String) {
        printAnswer("\(machine.name) \(what)")
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
        try machine.client().end()
    }
}
