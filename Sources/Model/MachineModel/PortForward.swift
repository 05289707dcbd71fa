// SPDX-License-Identifier: Apache-2.0

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
    package init(_ text: String) throws(PortForwardError) {
        let halves = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        if halves.count == 2 {
            guard let transport = Transport(rawValue: String(halves[1])) else {
                throw .init(text, "the part after '/' must be tcp or udp")
            }
            self.transport = transport
        }
        var parts = halves[0].split(separator: ":", omittingEmptySubsequences: false)
        guard let last = parts.popLast(), let guestPorts = Self.ports(last) else {
            throw .init(text, "the guest's port must be 1 to 65535, or a range such as 8000-8010")
        }
        self.guestPorts = guestPorts
        // `IP::GUEST` is docker's way to say: a free port of that address.
        if let host = parts.popLast(), !host.isEmpty || parts.isEmpty {
            guard let hostPorts = Self.ports(host) else {
                throw .init(text, "the host's port must be 1 to 65535, or a range such as 8000-8010")
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
            throw .init(text, "the part before the ports must be an IPv4 address")
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

    /// The text from which the same value is read.
    package var specification: String {
        let host = hostPorts.map { Self.text($0) + ":" } ?? (address == nil ? "" : ":")
        return "\(address.map { "\($0):" } ?? "")\(host)\(Self.text(guestPorts))/\(transport.rawValue)"
    }

    /// `0.0.0.0:8080->80/tcp`, as docker shows it.
    package var description: String {
        let host = hostPorts.map(Self.text) ?? "?"
        return "\(address ?? IPv4Address(rawValue: 0)):\(host)->\(Self.text(guestPorts))/\(transport.rawValue)"
    }

    private static func text(_ ports: ClosedRange<UInt16>) -> String {
        ports.count == 1 ? "\(ports.lowerBound)" : "\(ports.lowerBound)-\(ports.upperBound)"
    }
}

/// The reason why a port cannot be published.
package struct PortForwardError: Error, Hashable, CustomStringConvertible {
    package let description: String

    package init(_ forward: String, _ reason: String) {
        description = "cannot publish port '\(forward)': \(reason)"
    }
}
