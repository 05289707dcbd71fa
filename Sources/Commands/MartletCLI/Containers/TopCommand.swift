// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import GuestAgent
import Host

/// `martlet top`: the processes in a running machine.
struct TopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract: "List the processes of a running machine's guest."
    )

    @OptionGroup var machine: MachineArgument

    func run() throws {
        let entries = try machine.client().connectToAgent().processes(in: GuestContainer.onlyName)
        var table = TextTable("PID", "PPID", "USER", "STATE", "CPU", "MEMORY", "COMMAND")
        for entry in entries {
            table.append(
                "\(entry.id)",
                "\(entry.parent)",
                "\(entry.user)",
                printable(entry.state),
                "\(entry.ticks / 100).\(entry.ticks % 100 / 10) s",
                "\(entry.residentPages * 4) KiB",
                printable(entry.command)
            )
        }
        printAnswer(table)
    }
}
