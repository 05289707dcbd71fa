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
        let vcpus = stats["vcpus"].elements.enumerated().map { ("\($0)", $1["exits"]) }
        show(
            vcpus,
            [
                "VCPU": "", "IO IN": "io_in", "IO OUT": "io_out", "MMIO READ": "mmio_read", "MMIO WRITE": "mmio_write",
                "EMULATION": "emulation", "KICK": "kick", "OTHER": "other",
            ]
        )
        show(
            stats["drives"].elements.map { ($0["drive_id"].string ?? "", $0) },
            [
                "DISK": "", "READS": "reads", "WRITES": "writes", "FLUSHES": "flushes", "BYTES READ": "bytes_read",
                "BYTES WRITTEN": "bytes_written", "FAILURES": "failures",
            ]
        )
        show(
            stats["network_interfaces"].elements.map { ($0["iface_id"].string ?? "", $0) },
            [
                "NETWORK": "", "FRAMES IN": "rx_packets_count", "BYTES IN": "rx_bytes_count",
                "FRAMES OUT": "tx_packets_count", "BYTES OUT": "tx_bytes_count", "FAILURES": "tx_fails",
            ]
        )
        if case .object = stats["vsock"] {
            printAnswer(
                "vsock: \(Self.text(stats["vsock"]["conns_added"])) connections, "
                    + "\(Self.text(stats["vsock"]["rx_bytes_count"])) bytes in, "
                    + "\(Self.text(stats["vsock"]["tx_bytes_count"])) bytes out"
            )
        }
        func mebibytes(_ value: JSONValue) -> String {
            value.integer.map { "\($0 >> 20).\(($0 & 0xfffff) * 10 >> 20) MiB" } ?? "unknown"
        }
        printAnswer("console: \(Self.text(stats["console"]["bytes_sent"])) bytes sent")
        printAnswer(
            "memory: \(mebibytes(stats["memory"]["guest_resident_bytes"])) of the guest's are resident, "
                + "\(mebibytes(stats["memory"]["overhead_bytes"])) of the process beside it"
        )
    }

    /// Prints a table of devices of a kind, if there is any; each column is a field, the first one the name.
    private func show(_ devices: [(name: String, fields: JSONValue)], _ columns: KeyValuePairs<String, String>) {
        guard !devices.isEmpty else { return }
        var table = TextTable(columns.map(\.key))
        for (name, fields) in devices {
            table.append([name] + columns.dropFirst().map { Self.text(fields[$0.value]) })
        }
        printAnswer("\(table)\n")
    }

    private static func text(_ value: JSONValue) -> String {
        value.integer.map { "\($0)" } ?? "-"
    }
}
