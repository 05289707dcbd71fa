// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import MachineRegistry

/// `martlet api`: becomes a monitor, as `firecracker` is one.
struct APICommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "api",
        abstract: "Serve a REST API that configures and runs one machine, as Firecracker does.",
        discussion:
            "`martlet api --help` lists its options, which are Firecracker's: --api-sock, --id, --config-file, …"
    )

    @Argument(parsing: .captureForPassthrough, help: "Options of the monitor.")
    var arguments: [String] = []

    func run() throws {
        throw try MonitorProcess.replaceThisProcess(arguments)
    }
}
