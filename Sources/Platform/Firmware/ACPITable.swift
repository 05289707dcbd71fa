// SPDX-License-Identifier: Apache-2.0

/// One system description table: the common header, then a body, with a checksum over both (ACPI 6.5, 5.2.6).
package struct ACPITable: Hashable, Sendable {
    /// The size of the common header.
    static let headerByteCount = 36

    package let signature: String
    package let bytes: [UInt8]

    /// Puts a header in front of `body`.
    ///
    /// `signature` is four ASCII characters, `revision` that of the table's own format.
    init(signature: StaticString, revision: UInt8, body: [UInt8]) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.headerByteCount + body.count)
        bytes.append(signature, width: 4)
        bytes.appendLittleEndian(UInt32(Self.headerByteCount + body.count))
        bytes += [revision, 0]
        bytes.append(Self.oemID, width: 6)
        bytes.append("MARTLET", width: 8)  // the OEM's name of the table, the same in all as 5.2.9 wants
        bytes.appendLittleEndian(UInt32(1))
        bytes.append("MRTL", width: 4)  // the table's creator, with its revision
        bytes.appendLittleEndian(UInt32(1))
        bytes += body
        bytes.setChecksum(at: 9)
        self.signature = signature.description
        self.bytes = bytes
    }

    static let oemID: StaticString = "MARTLT"
}
