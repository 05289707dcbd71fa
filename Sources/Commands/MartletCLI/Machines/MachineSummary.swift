// SPDX-License-Identifier: Apache-2.0

import JSON
import MachineAPI
import MachineRegistry

/// What `martlet ps` shows of a machine.
struct MachineSummary {
    let name: String
    /// One word: `running`, `paused`, `configuring`, `unreachable`, `ended`, `died`.
    var state: String
    var processID: Int64?
    var vcpuCount: Int64?
    var memoryMiB: Int64?
    var startedAt: Timestamp?
    var exitStatus: Int64?

    /// Asks the machine, for a short time; one that has ended is looked up in its folder.
    ///
    /// `nil` for one that was removed meanwhile.
    init?(of folder: MachineFolder) {
        name = folder.name.text
        state = "unreachable"
        if folder.isAlive {
            if ask(MachineClient(folder)) { return }
            // At its very start and end a machine has no socket.
            guard folder.waitUntilDead(within: .seconds(5)) else {
                _ = ask(MachineClient(folder))
                return
            }
        }
        folder.removeStaleSocket()
        if let result = try? MachineResult(of: folder) {
            state = "ended"
            exitStatus = Int64(result.exitStatus)
        } else {
            state = "died"
        }
        guard folder.isThere else { return nil }
    }

    /// - Returns: Whether it answered.
    private mutating func ask(_ client: MachineClient) -> Bool {
        guard
            let machine = try? client.request("GET", "/martlet/machine", timeout: .seconds(5)),
            let size = try? client.request("GET", "/machine-config", timeout: .seconds(5))
        else { return false }
        switch machine["state"] {
        case "Running": state = "running"
        case "Paused": state = "paused"
        default: state = "configuring"
        }
        processID = machine["pid"].integer
        startedAt = machine["started_at_ms"].integer.map { Timestamp(millisecondsSinceEpoch: $0) }
        vcpuCount = size["vcpu_count"].integer
        memoryMiB = size["mem_size_mib"].integer
        return true
    }

    /// How long it has run: `3m 12s`.
    var uptime: String? {
        guard let startedAt else { return nil }
        let seconds = max(0, Timestamp.now.millisecondsSinceEpoch - startedAt.millisecondsSinceEpoch) / 1000
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

extension JSONValue {
    /// A member of an object; null for anything else.
    subscript(name: String) -> JSONValue {
        if case .object(let object) = self { object[name] ?? .null } else { .null }
    }

    var integer: Int64? {
        if case .integer(let value) = self { value } else { nil }
    }

    var string: String? {
        if case .string(let value) = self { value } else { nil }
    }

    var elements: [JSONValue] {
        if case .array(let elements) = self { elements } else { [] }
    }
}

extension Int64? {
    fileprivate var json: JSONValue { map { .integer($0) } ?? .null }
}
