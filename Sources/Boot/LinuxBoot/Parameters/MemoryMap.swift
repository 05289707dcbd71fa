// SPDX-License-Identifier: Apache-2.0

import Platform
package import GuestMemory

/// The guest's map of its physical address space: E820 for Linux, the same list for PVH.
package struct MemoryMap: Hashable, Sendable {
    /// The types that ACPI and PVH number alike.
    package enum Kind: UInt32, Sendable {
        case ram = 1
        case reserved = 2
    }

    package struct Entry: Hashable, Sendable {
        package let start: GuestAddress
        package let byteCount: UInt64
        package let kind: Kind
    }

    /// `E820_MAX_ENTRIES_ZEROPAGE`.
    static let entryLimit = 128

    /// The entries in ascending order.
    package let entries: [Entry]

    /// Describes `memory`, with one reserved entry from the MP table to 1 MiB: firmware tables, `setup_data` and the
    /// legacy hole.
    ///
    /// Every entry costs: Linux looks through all of them thousands of times while it maps its memory, and splits RAM
    /// at `setup_data` that lies in it. On a host that interprets the kernel each is 100,000 instructions.
    ///
    /// - Throws: `memoryMapTooLong` when RAM has too many pieces.
    package init(of memory: GuestMemory) throws(BootError) {
        let reserved = X86Layout.mpTable.rawValue..<X86Layout.highMemory.rawValue
        var entries: [Entry] = []
        for range in Self.ranges(of: memory) {
            for piece in [
                range.lowerBound..<max(range.lowerBound, min(range.upperBound, reserved.lowerBound)),
                min(range.upperBound, max(range.lowerBound, reserved.upperBound))..<range.upperBound,
            ] where !piece.isEmpty {
                entries.append(Self.entry(piece, .ram))
            }
        }
        entries.append(Self.entry(reserved, .reserved))
        entries.sort { $0.start < $1.start }
        guard entries.count <= Self.entryLimit else {
            throw .memoryMapTooLong(entryCount: entries.count, limit: Self.entryLimit)
        }
        self.entries = entries
    }

    /// RAM as disjoint ranges that do not touch, in ascending order.
    ///
    /// The very last byte of the address space is left out where it is RAM: a half-open range cannot name it.
    static func ranges(of memory: GuestMemory) -> [Range<UInt64>] {
        var ranges: [Range<UInt64>] = []
        for region in memory.regions {
            let start = region.start.rawValue
            let (end, overflow) = start.addingReportingOverflow(region.byteCount)
            let range = start..<(overflow ? .max : end)
            if let last = ranges.last, last.upperBound == range.lowerBound {
                ranges[ranges.count - 1] = last.lowerBound..<range.upperBound
            } else {
                ranges.append(range)
            }
        }
        return ranges
    }

    private static func entry(_ range: Range<UInt64>, _ kind: Kind) -> Entry {
        Entry(
            start: GuestAddress(rawValue: range.lowerBound),
            byteCount: range.upperBound - range.lowerBound,
            kind: kind
        )
    }
}
