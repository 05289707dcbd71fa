// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Host
import MachineAPI
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
            throw RegistryError("machine '\(machine.name)' has no Martlet process, but another process holds its lock")
        }
        let result = try client.waitForEnd()
        for line in result?.messages ?? [] { Messages.write(line) }
        throw ExitCode(Int32(result?.exitStatus ?? 1))
    }
}
