// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import MachineAPI

/// The command `martlet`.
@main
struct MartletCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "martlet",
        abstract: "A virtual machine monitor for Linux hosts with KVM.",
        version: APIVersion.martlet,
        subcommands: [RunCommand.self, CompareCommand.self, DoctorCommand.self],
        groupedSubcommands: [
            CommandGroup(
                name: "Machine",
                subcommands: [
                    PsCommand.self, AttachCommand.self, LogsCommand.self, InspectCommand.self, StatsCommand.self,
                    PauseCommand.self, ResumeCommand.self, StopCommand.self, KillCommand.self, WaitCommand.self,
                    RemoveCommand.self,
                ]
            ),
            CommandGroup(name: "API", subcommands: [APICommand.self]),
        ]
    )
}
