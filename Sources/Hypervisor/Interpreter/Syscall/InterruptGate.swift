// SPDX-License-Identifier: Apache-2.0

/// A 64-bit entry of the interrupt descriptor table.
///
/// Intel SDM volume 3A, 6.14.1 "64-Bit Mode IDT".
package struct InterruptGate: Hashable, Sendable {
    /// The size of an entry.
    package static let byteCount = 16
    package static let pageFaultVector = 14

    /// The handler's address.
    package var handler: UInt64
    /// The handler's code segment.
    package var selector: UInt16
    /// Indicates whether the entry is present and an interrupt or trap gate.
    package var isUsable: Bool

    /// Makes a gate.
    package init(handler: UInt64, selector: UInt16, isUsable: Bool = true) {
        self.handler = handler
        self.selector = selector
        self.isUsable = isUsable
    }

    /// Reads a gate from an entry of the table.
    ///
    /// - Parameter bytes: At least ``byteCount`` bytes.
    package init(_ bytes: RawSpan) {
        precondition(bytes.byteCount >= Self.byteCount)
        let low: UInt64 = bytes.integer(at: 0)
        let high: UInt32 = bytes.integer(at: 8)
        let attributes = low >> 40 & 0xFF
        self.init(
            handler: low & 0xFFFF | low >> 32 & 0xFFFF_0000 | UInt64(high) << 32,
            selector: UInt16(truncatingIfNeeded: low >> 16),
            isUsable: attributes & 0x9E == 0x8E  // present, type 14 or 15
        )
    }
}
