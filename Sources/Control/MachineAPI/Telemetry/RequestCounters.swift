// SPDX-License-Identifier: Apache-2.0

import Glibc
import HTTP
import Host
import JSON
import Synchronization

/// The numbers of requests of each kind, and of signals, under the names that Firecracker's metrics have for them.
final class RequestCounters: Sendable {
    /// By group, then by field: since the last time that they were taken.
    private let counts = Mutex<[String: [String: UInt64]]>([:])

    /// Counts a request that came in; those that Firecracker does not count are left out.
    func count(_ request: HTTPRequest) { add(1, to: "count", of: request) }

    /// Counts a request that was refused, besides.
    func countRefusal(_ request: HTTPRequest) {
        if request.method != "GET" { add(1, to: "fails", of: request) }
    }

    private func add(_ count: UInt64, to field: String, of request: HTTPRequest) {
        guard ["GET", "PUT", "PATCH"].contains(request.method),
            let name = Self.name(request.pathSegments.first ?? "", request.method)
        else { return }
        add(count, to: "\(name)_\(field)", in: "\(request.method.lowercased())_api_requests")
    }

    /// Counts a request that has a field which should not be used any more.
    func countDeprecated() { add(1, to: "deprecated_http_api_calls", in: "deprecated_api") }

    func countRefusedCall() { add(1, to: "num_faults", in: "seccomp") }

    private static let signals: [(CInt, String)] = [
        (SIGBUS, "sigbus"), (SIGSEGV, "sigsegv"), (SIGXFSZ, "sigxfsz"), (SIGXCPU, "sigxcpu"), (SIGPIPE, "sigpipe"),
        (SIGHUP, "sighup"), (SIGILL, "sigill"),
    ]

    /// Takes what was counted, and begins anew.
    func take() -> [(group: String, fields: JSONObject)] {
        for (signal, name) in Self.signals { add(SignalWatch.takeCount(of: signal), to: name, in: "signals") }
        return counts.withLock { counts in
            defer { counts = [:] }
            return counts.map { ($0.key, JSONObject($0.value.map { ($0.key, .count($0.value)) })) }
        }
    }

    private func add(_ count: UInt64, to field: String, in group: String) {
        if count > 0 { counts.withLock { $0[group, default: [:]][field, default: 0] &+= count } }
    }

    private static func name(_ resource: String, _ method: String) -> String? {
        switch (resource, method) {
        case ("", "GET"): "instance_info"
        case ("version", "GET"): "vmm_version"
        case ("machine-config", _): "machine_cfg"
        case ("mmds", _): "mmds"
        case ("hotplug", _): "hotplug_memory"
        case (_, "GET"): nil
        case ("drives", _): "drive"
        case ("network-interfaces", _): "network"
        case ("pmem", _): "pmem"
        case (_, "PATCH"): nil
        case ("boot-source", _): "boot_source"
        case ("cpu-config", _): "cpu_cfg"
        case ("actions", _), ("logger", _), ("metrics", _), ("serial", _), ("vsock", _): resource
        default: nil
        }
    }
}
