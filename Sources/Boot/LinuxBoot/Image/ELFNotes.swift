// SPDX-License-Identifier: Apache-2.0

/// The notes of one `PT_NOTE` segment, of which one may name the PVH entry point.
enum ELFNotes {
    /// `XEN_ELFNOTE_PHYS32_ENTRY`.
    private static let physicalEntry32: UInt32 = 18

    /// The physical address of the PVH entry point, or `nil` where no note names one.
    ///
    /// A note that does not fit into its segment ends the search: it is optional, so the image stays usable without it.
    ///
    /// An alignment of 8 pads names and values to 8 bytes, anything else to 4.
    static func pvhEntry(in bytes: [UInt8], alignment: UInt64) -> UInt64? {
        let reader = ByteReader(bytes)
        let padding: UInt64 = alignment == 8 ? 8 : 4
        var position: UInt64 = 0
        do {
            while position < UInt64(bytes.count) {
                let nameByteCount = UInt64(try reader.load(UInt32.self, at: position))
                let valueByteCount = UInt64(try reader.load(UInt32.self, at: position + 4))
                let type: UInt32 = try reader.load(at: position + 8)
                let value = aligned(position + 12 + nameByteCount, to: padding)
                if type == physicalEntry32, nameByteCount == 4, reader.has("Xen\0", at: position + 12) {
                    // Xen wants 4 bytes; Linux writes 8 on x86-64.
                    return valueByteCount >= 8
                        ? try reader.load(UInt64.self, at: value) : UInt64(try reader.load(UInt32.self, at: value))
                }
                position = aligned(value + valueByteCount, to: padding)
            }
        } catch {
            return nil
        }
        return nil
    }

    private static func aligned(_ offset: UInt64, to alignment: UInt64) -> UInt64 {
        (offset + alignment - 1) / alignment * alignment
    }
}
