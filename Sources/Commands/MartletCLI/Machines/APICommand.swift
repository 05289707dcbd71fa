// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import MachineRegistry

/// `martlet api`: becomes a monitor, as `firecracker` is one.
struct APICommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "api",
        abstract: "Be a process for one machine that is configured over a REST API, as Firecracker's.",
        discussion:
            "`martlet api --help` lists its options, which are Firecracker's: --api-sock, --id, --config-file, …"
    )

    @Argument(parsing: .captureForPassthrough, help: "What the monitor is given.")
    var arguments: [String] = []

    func run() throws {
        throw try MonitorProcess.replaceThisProcess(arguments)
    }
}
