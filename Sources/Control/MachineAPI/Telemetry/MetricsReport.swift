// SPDX-License-Identifier: Apache-2.0

import JSON
import Machine
import MachineModel
import Metadata
import Virtio

/// The counters of a machine as JSON: for `/martlet/stats`, and as lines of the file that `/metrics` names.
enum MetricsReport {
    /// All counters since the start.
    static func stats(_ statistics: MachineStatistics, of configuration: MachineConfiguration) -> JSONValue {
        [
            "vcpus": .array(statistics.vcpus.map(\.json)),
            "drives": .array(
                zip(configuration.orderedDrives, statistics.disks).map { drive, disk in
                    var object: JSONObject = [
                        "drive_id": .string(drive.id), "path_on_host": .string(drive.path),
                    ]
                    disk.requests.allCounters.add(to: &object)
                    return .object(object)
                }
            ),
            "network_interfaces": .array(
                zip(configuration.networkInterfaces, statistics.interfaces).map { interface, statistics in
                    var object: JSONObject = ["iface_id": .string(interface.id)]
                    statistics.counters.add(to: &object)
                    return .object(object)
                }
            ),
            "vsock": statistics.vsock.map { .object($0.counters.json) } ?? .null,
            "console": ["bytes_sent": .count(statistics.console.byteCount)],
            "memory": [
                "overhead_bytes": statistics.overheadByteCount.map { .count($0) } ?? .null,
                "guest_resident_bytes": statistics.guestByteCount.map { .count($0) } ?? .null,
            ],
        ]
    }

    /// The parts of a line besides the counters of the machine.
    struct Frame {
        var settings = MetricsSettings(path: "")
        /// The name of the machine.
        var identifier = ""
        /// The time from the start of the process, or of the jailer before it, to its API.
        var startTime = StartTime()
        /// The counts of requests.
        var requests: [(group: String, fields: JSONObject)] = []
        /// The counters of the metadata service since the last line.
        var metadata: JSONObject = [:]
    }

    /// One line, with what was counted since `last`, under the names that Firecracker has for it.
    static func line(
        _ now: MachineStatistics,
        since last: MachineStatistics?,
        of configuration: MachineConfiguration,
        _ frame: Frame
    ) -> String {
        var object: JSONObject = ["utc_timestamp_ms": .integer(Timestamp.now.millisecondsSinceEpoch)]
        if frame.settings.showsIdentifier { object["id"] = .string(frame.identifier) }
        if let properties = frame.settings.properties {
            object["properties"] = .object(
                JSONObject(properties.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })
            )
        }
        let zeros = Self.zeros
        for name in zeros.names { object[name] = zeros[name] }
        for (group, fields) in frame.requests { object.set(fields, in: group) }
        object.set(frame.metadata, in: "mmds")
        object.set(
            [
                "process_startup_time_us": .count(frame.startTime.elapsed),
                "process_startup_time_cpu_us": .count(frame.startTime.processor),
            ],
            in: "api_server"
        )
        object.set(now.vcpus.counters.minus(last?.vcpus.counters).json, in: "vcpu")
        object.set(
            zip(configuration.orderedDrives.map(\.id), now.disks.map(\.requests.counters)),
            since: last?.disks.map(\.requests.counters) ?? [],
            in: "block"
        )
        object.set(
            zip(configuration.networkInterfaces.map(\.id), now.interfaces.map(\.counters)),
            since: last?.interfaces.map(\.counters) ?? [],
            in: "net"
        )
        if let vsock = now.vsock {
            object.set(vsock.counters.minus(last?.vsock?.counters).json, in: "vsock")
            // Firecracker's process gets a signal with each, and its tests wait for one.
            object.add(vsock.brokenPipes &- (last?.vsock?.brokenPipes ?? 0), to: "sigpipe", in: "signals")
        }
        let lost = last?.console.droppedByteCount ?? 0
        object.set(
            [
                "write_count": .count(now.console.byteCount &- (last?.console.byteCount ?? 0)),
                // At the end, what waits for the output counts as lost until it is written.
                "missed_write_count": .count(max(now.console.droppedByteCount, lost) - lost),
                "rate_limiter_dropped_bytes": .count(
                    now.console.limitedByteCount &- (last?.console.limitedByteCount ?? 0)
                ),
            ],
            in: "uart"
        )
        return JSONValue.object(object).text
    }
}

extension JSONValue {
    /// A counter; one that no JSON number of ours can hold stays at the largest.
    static func count(_ value: UInt64) -> JSONValue { .integer(Int64(clamping: value)) }
}

extension VCPUStatistics {
    fileprivate var json: JSONValue {
        let exits = Counters([
            "io_in": portReads, "io_out": portWrites, "mmio_read": mmioReads, "mmio_write": mmioWrites,
            "emulation": emulations, "kick": kicks, "other": others,
        ])
        return ["exits": .object(exits.json)]
    }

    /// The figures of Firecracker's metrics.
    fileprivate var counters: Counters {
        Counters([
            "exit_io_in": portReads, "exit_io_out": portWrites, "exit_mmio_read": mmioReads,
            "exit_mmio_write": mmioWrites,
        ])
    }
}

extension [VCPUStatistics] {
    /// The figures of Firecracker's metrics, for all vCPUs together.
    fileprivate var counters: Counters {
        reduce(VCPUStatistics().counters) { $0.plus($1.counters) }
    }
}

extension BlockStatistics {
    /// Everything, under Martlet's own names.
    fileprivate var allCounters: Counters {
        Counters([
            "reads": reads, "writes": writes, "flushes": flushes, "discards": discards, "bytes_read": bytesRead,
            "bytes_written": bytesWritten, "failures": failures, "throttled": throttled,
        ])
    }

    /// The figures of Firecracker's metrics.
    fileprivate var counters: Counters {
        Counters([
            "read_count": reads, "write_count": writes, "flush_count": flushes, "read_bytes": bytesRead,
            "write_bytes": bytesWritten, "execute_fails": failures, "rate_limiter_throttled_events": throttled,
        ])
    }
}

/// Counters with their names, in their order.
private struct Counters {
    var values: [(name: String, value: UInt64)]

    init(_ values: KeyValuePairs<String, UInt64>) { self.values = values.map { ($0.key, $0.value) } }

    func minus(_ other: Counters?) -> Counters { combined(with: other, &-) }

    func plus(_ other: Counters?) -> Counters { combined(with: other, &+) }

    private func combined(with other: Counters?, _ operation: (UInt64, UInt64) -> UInt64) -> Counters {
        guard let other else { return self }
        var result = self
        for index in values.indices {
            result.values[index].value = operation(values[index].value, other.values[index].value)
        }
        return result
    }

    var json: JSONObject {
        var object: JSONObject = [:]
        add(to: &object)
        return object
    }

    func add(to object: inout JSONObject) {
        for (name, value) in values { object[name] = .count(value) }
    }
}

extension JSONObject {
    /// Sets what each device counted since the last line, and what all of them counted together, in the groups of their kind.
    fileprivate mutating func set(
        _ devices: some Sequence<(String, Counters)>,
        since last: [Counters],
        in kind: String
    ) {
        var total: Counters?
        for (index, (id, now)) in devices.enumerated() {
            let counters = now.minus(last.indices.contains(index) ? last[index] : nil)
            let group = "\(kind)_\(id)"
            self[group] = .object(MetricsReport.zeros(named: kind))
            set(counters.json, in: group)
            total = counters.plus(total)
        }
        if let total { set(total.json, in: kind) }
    }
}

extension NetworkStatistics {
    /// Everything, under the names that Firecracker has for it.
    fileprivate var counters: Counters {
        Counters([
            "rx_bytes_count": receivedBytes, "rx_packets_count": receivedPackets, "rx_fails": receiveFailures,
            "no_rx_avail_buffer": missingReceiveBuffers, "rx_rate_limiter_throttled": receiveThrottled,
            "rx_queue_event_count": receiveKicks, "rx_tap_event_count": hostEvents, "tx_bytes_count": sentBytes,
            "tx_packets_count": sentPackets, "tx_fails": sendFailures, "tx_malformed_frames": malformedFrames,
            "tx_spoofed_mac_count": spoofedAddresses, "tx_rate_limiter_throttled": sendThrottled,
            "tx_queue_event_count": sendKicks, "tx_blocked": sendBlocked,
        ])
    }
}

extension MetadataStatistics {
    /// The part since an earlier look, under the names that Firecracker has for it.
    func metrics(since last: MetadataStatistics?) -> JSONObject { counters.minus(last?.counters).json }

    private var counters: Counters {
        Counters([
            "rx_accepted": receivedFrames, "rx_count": receivedFrames, "rx_accepted_unusual": unusualFrames,
            "rx_invalid_token": invalidTokens, "rx_no_token": missingTokens, "tx_bytes": sentBytes,
            "tx_count": sentFrames, "tx_frames": sentFrames, "connections_created": connectionsCreated,
            "connections_destroyed": connectionsDestroyed,
        ])
    }
}

extension VsockStatistics {
    /// Everything, under the names that Firecracker has for it.
    fileprivate var counters: Counters {
        Counters([
            "conns_added": connectionsAdded, "conns_removed": connectionsRemoved, "conns_killed": connectionsKilled,
            "rx_bytes_count": receivedBytes, "rx_packets_count": receivedPackets, "rx_read_fails": receiveFailures,
            "rx_queue_event_count": receiveKicks, "tx_bytes_count": sentBytes, "tx_packets_count": sentPackets,
            "tx_write_fails": sendFailures, "tx_queue_event_count": sendKicks, "ev_queue_event_count": eventKicks,
        ])
    }
}
