// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import JSON
import MachineModel
import MachineRegistry

/// `martlet port`: the ports of this host that lead to a machine.
struct PortCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "port",
        abstract: "Show the ports of this host that lead to a machine's guest."
    )

    @OptionGroup var machine: MachineArgument

    @Argument(help: "Only the ports that lead to this guest port: PORT or PORT/udp.")
    var port: String?

    func run() throws {
        let description = try machine.client().request("GET", "/vm/config").decode(as: MachineConfiguration.self)
        let wanted = try port.map { try PortForward($0) }
        for forward in try description.networkInterfaces.flatMap({ try $0.portForwards() }) {
            if let wanted {
                guard forward.transport == wanted.transport, let host = forward.hostPorts,
                    forward.guestPorts.contains(wanted.guestPorts.lowerBound)
                else { continue }
                let offset = wanted.guestPorts.lowerBound - forward.guestPorts.lowerBound
                printAnswer("\(forward.address ?? IPv4Address(rawValue: 0)):\(host.lowerBound + offset)")
            } else {
                printAnswer("\(forward)")
            }
        }
    }
}
