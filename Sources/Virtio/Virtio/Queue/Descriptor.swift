// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// One entry of a descriptor table, `struct virtq_desc` (virtio 1.2, 2.7.5): a copy, read once.
struct Descriptor {
    static let byteCount = 16

    struct Flags: OptionSet {
        let rawValue: UInt16

        static let next = Self(rawValue: 1)
        static let write = Self(rawValue: 2)
        static let indirect = Self(rawValue: 4)
    }

    let range: GuestRange
    let flags: Flags
    let next: UInt16

    /// Reads entry `index`, which the view must have.
    init(_ table: borrowing GuestMemoryView, index: Int) {
        let address = table.load(UInt64.self, at: index * Self.byteCount)
        let rest = table.load(UInt64.self, at: index * Self.byteCount + 8)
        range = GuestRange(address: GuestAddress(rawValue: address), byteCount: UInt32(truncatingIfNeeded: rest))
        flags = Flags(rawValue: UInt16(truncatingIfNeeded: rest >> 32))
        next = UInt16(truncatingIfNeeded: rest >> 48)
    }
}
