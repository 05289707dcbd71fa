// SPDX-License-Identifier: Apache-2.0

/// The name of a device within its machine: `vda`, `entropy`.
///
/// Messages, threads and saved states know the device by it.
package struct DeviceID: Codable, Hashable, Sendable, CustomStringConvertible, ExpressibleByStringLiteral {
    package let name: String

    package init(_ name: String) { self.name = name }

    package init(stringLiteral value: String) { name = value }

    /// The disk at place `index` among those of the configuration: Linux calls it so, if all its virtio disks are ours.
    static func disk(_ index: Int) -> Self {
        Self("vd" + String(UnicodeScalar(UInt8(ascii: "a") + UInt8(index))))
    }

    /// The network interface at place `index`, as Linux calls it without other drivers.
    static func interface(_ index: Int) -> Self { Self("eth\(index)") }

    package var description: String { name }

    package init(from decoder: any Decoder) throws {
        name = try decoder.singleValueContainer().decode(String.self)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(name)
    }
}
