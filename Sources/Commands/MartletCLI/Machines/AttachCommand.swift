// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Host
import MachineAPI
import MachineRegistry
import MachineSession

/// `martlet attach`: this terminal becomes a machine's console.
struct AttachCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attach",
        abstract: "Attach this terminal to a machine's console: earlier output, up to 1 MiB, then live output.",
        discussion: """
            Several may watch, one types: the first one that is attached. The exit status is the machine's when it ends, \
            and 0 when you leave it.
            """
    )

    @OptionGroup var machine: MachineArgument

    @Flag(help: "Only watch, and leave typing to others.")
    var watch = false

    @Option(help: ArgumentHelp("The key before console commands: ctrl-a to ctrl-z, or none.", valueName: "key"))
    var escape = EscapeKey.standard

    func run() throws {
        let client = try machine.client()
        try client.checkPresence()
        let connection = try client.attach(isWatching: watch, until: .after(.seconds(10)))
        throw try Self.serve(connection, of: client, escape: escape)
    }

    /// Is at the console until the user leaves or the machine ends, and tells which.
    static func serve(_ connection: ConsoleConnection, of client: MachineClient, escape: EscapeKey) throws -> ExitCode {
        switch try ConsoleClient(client, connection, escape: escape).run() {
        case .detached:
            Messages.write("left \(client.folder.name) running: `martlet attach \(client.folder.name)` comes back")
            return .success
        case .closed:
            let result = try client.waitForEnd(until: .after(.seconds(30)))
            for line in result?.messages ?? [] { Messages.write(line) }
            return ExitCode(Int32(result?.exitStatus ?? 1))
        }
    }
}
