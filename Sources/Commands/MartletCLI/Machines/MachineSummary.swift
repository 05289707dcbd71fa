// SPDX-License-Identifier: Apache-2.0

import Host
import JSON
import MachineAPI
import MachineRegistry

/// The row of `martlet ps` for a machine.
struct MachineSummary: Sendable {
    /// The time that machines may take to answer, all of them together.
    static let patience = Duration.milliseconds(1500)

    let name: String
    /// One word: `running`, `paused`, `configuring`, `unreachable`, `ended`, `died`, and `broken` for a folder that is none
    /// of a machine's.
    var state: String
    var processID: Int64?
    var vcpuCount: Int64?
    var memoryMiB: Int64?
    var startedAt: Timestamp?
    var exitStatus: Int64?

    var isThereStill: Bool { !["ended", "died", "broken"].contains(state) }

    /// Asks the machine; one that has ended is looked up in its folder.
    ///
    /// `nil` for one that was removed meanwhile.
    init?(of folder: MachineFolder, until limit: TimeLimit) {
        name = folder.name.text
        state = "unreachable"
        let client: MachineClient
        do throws(RegistryError) {
            client = try MachineClient(folder)
        } catch {
            guard folder.isThere else { return nil }
            state = "broken"
            return
        }
        // At its very start and end a machine has no socket.
        while client.machine.isAlive {
            if ask(client, until: limit) { return }
            if client.machine.waitUntilDead(until: limit.atMost(.milliseconds(50))) { break }
            if limit.hasPassed { return }
        }
        folder.removeStaleSockets()
        if let result = try? client.machine.result() {
            state = "ended"
            exitStatus = Int64(result.exitStatus)
        } else {
            state = "died"
        }
        guard folder.isThere else { return nil }
    }

    /// - Returns: Whether it answered.
    private mutating func ask(_ client: MachineClient, until limit: TimeLimit) -> Bool {
        guard
            let machine = try? client.request("GET", "/martlet/machine", until: limit),
            let size = try? client.request("GET", "/machine-config", until: limit)
        else { return false }
        switch machine["state"] {
        case "Running": state = "running"
        case "Paused": state = "paused"
        default: state = "configuring"
        }
        // In a jail it knows itself by another one.
        processID = client.machine.processID.map(Int64.init) ?? machine["pid"].integer
        startedAt = machine["started_at_ms"].integer.map { Timestamp(millisecondsSinceEpoch: $0) }
        vcpuCount = size["vcpu_count"].integer
        memoryMiB = size["mem_size_mib"].integer
        return true
    }

    /// The time for which it has run: `3m 12s`.
    var uptime: String? {
        guard let startedAt else { return nil }
        let (time, isPastAll) = Timestamp.now.millisecondsSinceEpoch.subtractingReportingOverflow(
            startedAt.millisecondsSinceEpoch
        )
        let seconds = isPastAll ? 0 : max(0, time) / 1000
        switch seconds {
        case ..<60: return "\(seconds)s"
        case ..<3600: return "\(seconds / 60)m \(seconds % 60)s"
        case ..<86400: return "\(seconds / 3600)h \(seconds / 60 % 60)m"
        default: return "\(seconds / 86400)d \(seconds / 3600 % 24)h"
        }
    }

    var json: JSONValue {
        [
            "name": .string(name), "state": .string(state), "pid": processID.json, "vcpu_count": vcpuCount.json,
            "mem_size_mib": memoryMiB.json, "started_at": startedAt.map { .string("\($0)") } ?? .null,
            "exit_status": exitStatus.json,
        ]
    }
}

extension Int64? {
    fileprivate var json: JSONValue { map { .integer($0) } ?? .null }
}
