// SPDX-License-Identifier: Apache-2.0

import Platform
import GuestMemory

/// The page tables of the entry state: 4 GiB mapped one to one with 2 MiB pages.
///
/// 1 GiB pages would take less, but hosts that interpret guest kernels answer them with a triple fault.
enum PageTables {
    private static let entriesPerTable = 512
    private static let tableByteCount: UInt64 = 4096
    private static let directoryCount = 4
    private static let presentAndWritable: UInt64 = 0b11
    private static let isLargePage: UInt64 = 1 << 7

    /// PML4, PDPT and the page directories.
    static let byteCount = UInt64(2 + directoryCount) * tableByteCount

    /// The end of the mapped range.
    static let mappedEnd: GuestAddress = 0x1_0000_0000

    static func write(to memory: GuestMemory) throws(GuestMemoryError) {
        let root = X86Layout.pageTables.rawValue
        var entries = [UInt64](repeating: 0, count: (2 + directoryCount) * entriesPerTable)
        entries[0] = (root + tableByteCount) | presentAndWritable
        for directory in 0..<directoryCount {
            entries[entriesPerTable + directory] =
                (root + UInt64(2 + directory) * tableByteCount) | presentAndWritable
        }
        for page in 0..<directoryCount * entriesPerTable {
            entries[2 * entriesPerTable + page] = UInt64(page) << 21 | isLargePage | presentAndWritable
        }
        // The host is an x86-64 too: its integers are in the guest's byte order.
        try unsafe memory.write(entries.span.bytes, at: X86Layout.pageTables)
    }
}
