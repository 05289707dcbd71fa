// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage

/// Ports of the host that lead to ports of the guest, as docker and podman write them: `127.0.0.1:8080:80/tcp`.
package struct PortForward: Hashable, Sendable, CustomStringConvertible {
    package enum Transport: String, Hashable, Sendable, CaseIterable {
        case tcp
        case udp
    }

    package var transport = Transport.tcp
    /// The address of the host that is listened on; nil for all of them.
    package var address: IPv4Address?
    /// The host's ports; nil for one that is free.
    package var hostPorts: ClosedRange<UInt16>?
    /// The guest's ports, as many as the host's.
    package var guestPorts: ClosedRange<UInt16>

    /// Reads `[[IP:]HOST:]GUEST[/tcp|udp]`, in which both ports may be ranges.
    ///
    /// - Throws: `PortForwardError`.
    package init(_ text: String) throws(PortForwardError) {
        let halves = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        if halves.count == 2 {
            guard let transport = Transport(rawValue: String(halves[1])) else {
                throw .init(text, "the part behind '/' is tcp or udp")
            }
            self.transport = transport
        }
        var parts = halves[0].split(separator: ":", omittingEmptySubsequences: false)
        guard let last = parts.popLast(), let guestPorts = Self.ports(last) else {
            throw .init(text, "the guest's port is 1 to 65535, or a range such as 8000-8010")
        }
        self.guestPorts = guestPorts
        // `IP::GUEST` is docker's way to say: a free port of that address.
        if let host = parts.popLast(), !host.isEmpty || parts.isEmpty {
            guard let hostPorts = Self.ports(host) else {
                throw .init(text, "the host's port is 1 to 65535, or a range such as 8000-8010")
            }
            guard hostPorts.count == guestPorts.count else {
                throw .init(text, "the two ranges have \(hostPorts.count) and \(guestPorts.count) ports")
            }
            self.hostPorts = hostPorts
        }
        guard self.hostPorts != nil || guestPorts.count == 1 else {
            throw .init(text, "a range of the guest's ports needs one of the host's")
        }
        guard let address = parts.popLast() else { return }
        guard parts.isEmpty, let address = IPv4Address(address) else {
            throw .init(text, "the part before the ports is an IPv4 address")
        }
        self.address = address
    }

    private static func ports(_ text: Substring) -> ClosedRange<UInt16>? {
        let ends = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard ends.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy { 48...57 ~= $0 } }) else { return nil }
        guard let first = UInt16(ends[0]), let last = UInt16(ends[ends.count - 1]), first >= 1, first <= last
        else { return nil }
        return first...last
    }

    /// `0.0.0.0:8080->80/tcp`, as docker shows it.
    package var description: String {
        let host = hostPorts.map(Self.text) ?? "?"
        return "\(address ?? IPv4Address(rawValue: 0)):\(host)->\(Self.text(guestPorts))/\(transport.rawValue)"
    }

    private static func text(_ ports: ClosedRange<UInt16>) -> String {
        ports.count == 1 ? "\(ports.lowerBound)" : "\(ports.lowerBound)-\(ports.upperBound)"
    }

    // MARK: - The host's ports

    /// Chooses a free port where none is given, and makes sure that those which are given can be had.
    ///
    /// - Throws: `PortForwardError`, with the port.
    package mutating func resolve() throws(PortForwardError) {
        guard let hostPorts else {
            let port = try probe(0)
            self.hostPorts = port...port
            return
        }
        for port in hostPorts { _ = try probe(port) }
    }

    /// Binds a socket to a port for a moment.
    ///
    /// - Returns: The port that it got.
    private func probe(_ port: UInt16) throws(PortForwardError) -> UInt16 {
        let type = transport == .tcp ? SOCK_STREAM : SOCK_DGRAM
        let socket = socket(AF_INET, CInt(type.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { throw .init("\(self)", "socket: \(Errno(rawValue: errno))") }
        defer { close(socket) }
        // As the listener itself will: connections of one that has just ended are no obstacle.
        var yes: CInt = 1
        if transport == .tcp {
            unsafe setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<CInt>.size))
        }
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = port.bigEndian
        name.sin_addr.s_addr = (address?.rawValue ?? 0).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let error = unsafe withUnsafeMutablePointer(to: &name) { pointer in
            // SAFETY: every address starts as sockaddr does, and the length says where this one ends.
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                guard unsafe bind(socket, pointer, size) == 0 else { return errno }
                return unsafe getsockname(socket, pointer, &size) == 0 ? 0 : errno
            }
        }
        switch error {
        case 0: return UInt16(bigEndian: name.sin_port)
        case EADDRINUSE: throw .init("\(self)", "port \(port) of the host is in use")
        case EACCES: throw .init("\(self)", "port \(port) of the host is below 1024, which needs root rights")
        case EADDRNOTAVAIL: throw .init("\(self)", "the host does not have this address")
        default: throw .init("\(self)", "port \(port) of the host: \(Errno(rawValue: error))")
        }
    }
}

/// The reason why a port cannot be published.
package struct PortForwardError: Error, Hashable, CustomStringConvertible {
    package let description: String

    init(_ forward: String, _ reason: String) {
        description = "cannot publish port '\(forward)': \(reason)"
    }
}
