// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// The command `martlet`.
@main
struct MartletCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "martlet",
        abstract: "A virtual machine monitor for Linux hosts with KVM.",
        version: "0.1.0",
        subcommands: [RunCommand.self, DoctorCommand.self]
    )
}
