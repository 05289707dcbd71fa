// SPDX-License-Identifier: Apache-2.0

/// An address of the Internet Protocol, version 4.
package struct IPv4Address: Hashable, Sendable, CustomStringConvertible {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Reads four decimal numbers with dots between them.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4, parts.allSatisfy({ 1...3 ~= $0.utf8.count && $0.utf8.allSatisfy { 48...57 ~= $0 } })
        else { return nil }
        var value: UInt32 = 0
        for part in parts {
            guard let byte = UInt8(part) else { return nil }
            value = value << 8 | UInt32(byte)
        }
        rawValue = value
    }

    package var bytes: [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: rawValue >> (24 - 8 * $0)) } }

    package var description: String { bytes.map(String.init).joined(separator: ".") }
}

/// The address of an interface and the size of its network, as `169.254.2.15/24`.
package struct IPv4Interface: Hashable, Sendable, CustomStringConvertible {
    package let address: IPv4Address
    package let prefixLength: Int

    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = IPv4Address(parts[0]), let length = Int(parts[1]), 1...30 ~= length
        else { return nil }
        (self.address, prefixLength) = (address, length)
    }

    package var netmask: IPv4Address { IPv4Address(rawValue: ~0 << UInt32(32 - prefixLength)) }

    /// Returns whether an address lies in the same network.
    package func contains(_ other: IPv4Address) -> Bool {
        (address.rawValue ^ other.rawValue) & netmask.rawValue == 0
    }

    /// The first address of the network that is none of these.
    package func first(from offset: UInt32, besides others: IPv4Address...) -> IPv4Address {
        let network = address.rawValue & netmask.rawValue
        // A network has more addresses than these, but the smallest not many.
        let candidates = (offset...offset + 8).map { IPv4Address(rawValue: network | ($0 & ~netmask.rawValue)) }
        return candidates.first { $0 != address && !others.contains($0) && $0.rawValue != network } ?? address
    }

    package var description: String { "\(address)/\(prefixLength)" }
}
