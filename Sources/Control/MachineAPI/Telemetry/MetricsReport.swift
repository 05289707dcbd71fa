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
                    for name in disk.requests.json.names { object[name] = disk.requests.json[name] }
                    return .object(object)
                }
            ),
            "network_interfaces": .array(
                zip(configuration.networkInterfaces, statistics.interfaces).map { interface, statistics in
                    .object(statistics.counters.json(iface: interface.id))
                }
            ),
            "vsock": statistics.vsock.map { .object($0.counters.json()) } ?? .null,
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
        let exits = now.vcpus.total.minus(last?.vcpus.total ?? VCPUStatistics())
        object.set(
            [
                "exit_io_in": .count(exits.portReads), "exit_io_out": .count(exits.portWrites),
                "exit_mmio_read": .count(exits.mmioReads), "exit_mmio_write": .count(exits.mmioWrites),
            ],
            in: "vcpu"
        )
        var total = BlockStatistics()
        for (index, (drive, disk)) in zip(configuration.orderedDrives, now.disks).enumerated() {
            let before = last.flatMap { $0.disks.indices.contains(index) ? $0.disks[index].requests : nil }
            let requests = disk.requests.minus(before ?? BlockStatistics())
            object["block_\(drive.id)"] = .object(Self.zeros(named: "block"))
            object.set(requests.metrics, in: "block_\(drive.id)")
            total = total.plus(requests)
        }
        object.set(total.metrics, in: "block")
        var network = NetworkStatistics().counters
        for (index, (interface, statistics)) in zip(configuration.networkInterfaces, now.interfaces).enumerated() {
            let before = last.flatMap { $0.interfaces.indices.contains(index) ? $0.interfaces[index] : nil }
            let counters = statistics.counters.minus(before?.counters)
            object["net_\(interface.id)"] = .object(Self.zeros(named: "net"))
            object.set(counters.json(), in: "net_\(interface.id)")
            network = network.plus(counters)
        }
        object.set(network.json(), in: "net")
        if let vsock = now.vsock {
            object.set(vsock.counters.minus(last?.vsock?.counters).json(), in: "vsock")
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
    /// The figures of Firecracker's metrics, for all vCPUs together.
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

    fileprivate var metrics: JSONObject {
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

/// Counters with their names, in their order.
private struct Counters {
    var values: [(name: String, value: UInt64)]

    init(_ values: KeyValuePairs<String, UInt64>) { self.values = values.map { ($0.key, $0.value) } }

    func minus(_ other: Counters?) -> Counters { combined(with: other, &-) }

    func plus(_ other: Counters) -> Counters { combined(with: other, &+) }

    private func combined(with other: Counters?, _ operation: (UInt64, UInt64) -> UInt64) -> Counters {
        guard let other else { return self }
        var result = self
        for index in values.indices {
            result.values[index].value = operation(values[index].value, other.values[index].value)
        }
        return result
    }

    func json(iface: String? = nil) -> JSONObject {
        var object: JSONObject = [:]
        if let iface { object["iface_id"] = .string(iface) }
        for (name, value) in values { object[name] = .count(value) }
        return object
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
    func metrics(since last: MetadataStatistics?) -> JSONObject { counters.minus(last?.counters).json() }

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
