// SPDX-License-Identifier: Apache-2.0

import JSON
import Machine
import MachineModel
import Virtio

/// The counters of a machine as JSON: for `/martlet/stats`, and as lines of the file that `/metrics` names.
enum MetricsReport {
    /// All counters since the start.
    static func stats(_ statistics: MachineStatistics, drives: [Drive]) -> JSONValue {
        [
            "vcpus": .array(statistics.vcpus.map(\.json)),
            "drives": .array(
                zip(drives, statistics.disks).map { drive, disk in
                    var object: JSONObject = [
                        "drive_id": .string(drive.id), "path_on_host": .string(drive.path),
                    ]
                    for name in disk.requests.json.names { object[name] = disk.requests.json[name] }
                    return .object(object)
                }
            ),
            "console": ["bytes_sent": .count(statistics.consoleByteCount ?? 0)],
            "memory": [
                "overhead_bytes": statistics.overheadByteCount.map { .count($0) } ?? .null,
                "guest_resident_bytes": statistics.guestByteCount.map { .count($0) } ?? .null,
            ],
        ]
    }

    /// One line, with what was counted since `last`, under the names that Firecracker has for it.
    static func line(_ now: MachineStatistics, since last: MachineStatistics?, drives: [Drive]) -> String {
        var object: JSONObject = ["utc_timestamp_ms": .integer(Timestamp.now.millisecondsSinceEpoch)]
        let exits = now.vcpus.total.minus(last?.vcpus.total ?? VCPUStatistics())
        object["vcpu"] = [
            "exit_io_in": .count(exits.portReads), "exit_io_out": .count(exits.portWrites),
            "exit_mmio_read": .count(exits.mmioReads), "exit_mmio_write": .count(exits.mmioWrites),
        ]
        var total = BlockStatistics()
        for (index, (drive, disk)) in zip(drives, now.disks).enumerated() {
            let before = last.flatMap { $0.disks.indices.contains(index) ? $0.disks[index].requests : nil }
            let requests = disk.requests.minus(before ?? BlockStatistics())
            object["block_\(drive.id)"] = requests.metrics
            total = total.plus(requests)
        }
        object["block"] = total.metrics
        object["uart"] = ["write_count": .count((now.consoleByteCount ?? 0) &- (last?.consoleByteCount ?? 0))]
        return JSONValue.object(object).text
    }
}

extension JSONValue {
    /// A counter; one that no JSON number of ours can hold stays at the largest.
    static func count(_ value: UInt64) -> JSONValue { .integer(Int64(clamping: value)) }
}

extension VCPUStatistics {
    fileprivate var json: JSONValue {
        [
            "exits": [
                "io_in": .count(portReads), "io_out": .count(portWrites), "mmio_read": .count(mmioReads),
                "mmio_write": .count(mmioWrites), "emulation": .count(emulations), "kick": .count(kicks),
                "other": .count(others),
            ]
        ]
    }

    fileprivate func minus(_ other: Self) -> Self {
        var result = self
        result.portReads &-= other.portReads
        result.portWrites &-= other.portWrites
        result.mmioReads &-= other.mmioReads
        result.mmioWrites &-= other.mmioWrites
        return result
    }
}

extension [VCPUStatistics] {
    /// What Firecracker's metrics tell, of all vCPUs together.
    fileprivate var total: VCPUStatistics {
        reduce(into: VCPUStatistics()) { total, vcpu in
            total.portReads &+= vcpu.portReads
            total.portWrites &+= vcpu.portWrites
            total.mmioReads &+= vcpu.mmioReads
            total.mmioWrites &+= vcpu.mmioWrites
        }
    }
}

extension BlockStatistics {
    fileprivate var json: JSONObject {
        [
            "reads": .count(reads), "writes": .count(writes), "flushes": .count(flushes),
            "discards": .count(discards), "bytes_read": .count(bytesRead), "bytes_written": .count(bytesWritten),
            "failures": .count(failures), "throttled": .count(throttled),
        ]
    }

    fileprivate var metrics: JSONValue {
        [
            "read_count": .count(reads), "write_count": .count(writes), "flush_count": .count(flushes),
            "read_bytes": .count(bytesRead), "write_bytes": .count(bytesWritten),
            "execute_fails": .count(failures), "rate_limiter_throttled_events": .count(throttled),
        ]
    }

    fileprivate func minus(_ other: Self) -> Self {
        combined(with: other, &-)
    }

    fileprivate func plus(_ other: Self) -> Self {
        combined(with: other, &+)
    }

    private func combined(with other: Self, _ operation: (UInt64, UInt64) -> UInt64) -> Self {
        var result = Self()
        result.reads = operation(reads, other.reads)
        result.writes = operation(writes, other.writes)
        result.flushes = operation(flushes, other.flushes)
        result.discards = operation(discards, other.discards)
        result.bytesRead = operation(bytesRead, other.bytesRead)
        result.bytesWritten = operation(bytesWritten, other.bytesWritten)
        result.failures = operation(failures, other.failures)
        result.throttled = operation(throttled, other.throttled)
        return result
    }
}
