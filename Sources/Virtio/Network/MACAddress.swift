// SPDX-License-Identifier: Apache-2.0

/// The address of an Ethernet interface: 48 bits.
package struct MACAddress: Hashable, Sendable, CustomStringConvertible {
    package let bytes: [UInt8]

    /// Reads six pairs of hexadecimal digits with colons between them; nil for anything else, and for what no interface can
    /// have: a group's address, or all zeros.
    package init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 6, parts.allSatisfy({ $0.utf8.count == 2 && $0.allSatisfy(\.isHexDigit) })
        else { return nil }
        self.init(parts.compactMap { UInt8($0, radix: 16) })
    }

    init?(_ bytes: [UInt8]) {
        guard bytes.count == 6, bytes[0] & 1 == 0, bytes.contains(where: { $0 != 0 }) else { return nil }
        self.bytes = bytes
    }

    /// An address that nobody else has, by chance; its maker is nobody (the second bit of the first byte).
    package static func random() -> MACAddress {
        var bytes = (0..<6).map { _ in UInt8.random(in: 0...255) }
        bytes[0] = bytes[0] & 0xfc | 2
        guard let address = MACAddress(bytes) else { preconditionFailure("a local address is never a group's") }
        return address
    }

    package var description: String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    }
}
