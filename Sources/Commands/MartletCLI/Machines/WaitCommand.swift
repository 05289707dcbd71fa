// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import MachineRegistry

/// `martlet wait`: returns when a machine has ended, with its exit status.
struct WaitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait",
        abstract: "Wait until a machine has ended; the exit status is the machine's."
    )

    @OptionGroup var machine: MachineArgument

    func run() throws {
        let client = try MachineClient(try machine.folder())
        if client.machine.isHeldByStranger() {
            throw RegistryError("machine '\(machine.name)' has no process of Martlet's, and another one holds its lock")
        }
        let result = try client.waitForEnd()
        if let message = result?.message { MessageOutput(isVerbose: false).write(message) }
        throw ExitCode(Int32(result?.exitStatus ?? 1))
    }
}
