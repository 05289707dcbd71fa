// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Host
import JSON
import MachineRegistry

/// `martlet stats`: shows the counters of a machine.
struct StatsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats",
        abstract: "Show a machine's exits, requests and memory."
    )

    @OptionGroup var machine: MachineArgument

    @Flag(help: "JSON, for scripts.")
    var json = false

    func run() throws {
        let stats = try machine.client().request("GET", "/martlet/stats", until: .after(.seconds(2)))
        if json { return printAnswer(stats.prettyText) }
        var vcpus = TextTable("VCPU", "IO IN", "IO OUT", "MMIO READ", "MMIO WRITE", "EMULATION", "KICK", "OTHER")
        for (index, vcpu) in stats["vcpus"].elements.enumerated() {
            func count(_ name: String) -> String { Self.text(vcpu["exits"][name]) }
            vcpus.append(
                "\(index)",
                count("io_in"),
                count("io_out"),
                count("mmio_read"),
                count("mmio_write"),
                count("emulation"),
                count("kick"),
                count("other")
            )
        }
        printAnswer(vcpus)
        let drives = stats["drives"].elements
        if !drives.isEmpty {
            var table = TextTable("DISK", "READS", "WRITES", "FLUSHES", "BYTES READ", "BYTES WRITTEN", "FAILURES")
            for drive in drives {
                table.append(
                    drive["drive_id"].string ?? "",
                    Self.text(drive["reads"]),
                    Self.text(drive["writes"]),
                    Self.text(drive["flushes"]),
                    Self.text(drive["bytes_read"]),
                    Self.text(drive["bytes_written"]),
                    Self.text(drive["failures"])
                )
            }
            printAnswer("\n\(table)")
        }
        let interfaces = stats["network_interfaces"].elements
        if !interfaces.isEmpty {
            var table = TextTable("NETWORK", "FRAMES IN", "BYTES IN", "FRAMES OUT", "BYTES OUT", "FAILURES")
            for interface in interfaces {
                table.append(
                    interface["iface_id"].string ?? "",
                    Self.text(interface["rx_packets_count"]),
                    Self.text(interface["rx_bytes_count"]),
                    Self.text(interface["tx_packets_count"]),
                    Self.text(interface["tx_bytes_count"]),
                    Self.text(interface["tx_fails"])
                )
            }
            printAnswer("\n\(table)")
        }
        if case .object = stats["vsock"] {
            printAnswer(
                "\nvsock: \(Self.text(stats["vsock"]["conns_added"])) connections, "
                    + "\(Self.text(stats["vsock"]["rx_bytes_count"])) bytes in, "
                    + "\(Self.text(stats["vsock"]["tx_bytes_count"])) bytes out"
            )
        }
        func mebibytes(_ value: JSONValue) -> String {
            value.integer.map { "\($0 >> 20).\(($0 & 0xfffff) * 10 >> 20) MiB" } ?? "unknown"
        }
        printAnswer("\nconsole: \(Self.text(stats["console"]["bytes_sent"])) bytes sent")
        printAnswer(
            "memory: \(mebibytes(stats["memory"]["guest_resident_bytes"])) of the guest's are resident, "
                + "\(mebibytes(stats["memory"]["overhead_bytes"])) of the process beside it"
        )
    }

    private static func text(_ value: JSONValue) -> String {
        value.integer.map { "\($0)" } ?? "-"
    }
}
