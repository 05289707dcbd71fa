// SPDX-License-Identifier: Apache-2.0

import Platform
import GuestMemory

/// `struct hvm_start_info`, version 1, with its module list and memory map after it in the same page.
///
/// Xen's public header `arch-x86/hvm/start_info.h` is the authority.
struct PVHStartInfo {
    /// The size of the page in bytes.
    static let capacity: UInt64 = 0x1000

    private static let magic: UInt32 = 0x336e_c578  // "xEn3" with bit 7 of the E set
    private static let version: UInt32 = 1
    private static let moduleListOffset = 0x40
    private static let memoryMapOffset = 0x80
    private static let memoryMapEntryByteCount = 24

    let commandLine: GuestAddress
    let initrd: Range<GuestAddress>?
    let rsdp: GuestAddress?
    let memoryMap: MemoryMap

    /// The page to be put at `X86Layout.pvhStartInfo`; 128 entries of memory map end within it.
    var bytes: [UInt8] {
        let start = X86Layout.pvhStartInfo.rawValue
        var page = ByteWriter(byteCount: Self.memoryMapOffset + memoryMap.entries.count * Self.memoryMapEntryByteCount)
        page.store(Self.magic, at: 0)
        page.store(Self.version, at: 4)
        if let initrd {
            page.store(1 as UInt32, at: 12)
            page.store(start + UInt64(Self.moduleListOffset), at: 16)
            page.store(initrd.lowerBound.rawValue, at: Self.moduleListOffset)
            page.store(initrd.upperBound.rawValue - initrd.lowerBound.rawValue, at: Self.moduleListOffset + 8)
        }
        page.store(commandLine.rawValue, at: 24)
        page.store(rsdp?.rawValue ?? 0, at: 32)
        page.store(start + UInt64(Self.memoryMapOffset), at: 40)
        page.store(UInt32(memoryMap.entries.count), at: 48)
        for (index, entry) in memoryMap.entries.enumerated() {
            let offset = Self.memoryMapOffset + index * Self.memoryMapEntryByteCount
            page.store(entry.start.rawValue, at: offset)
            page.store(entry.byteCount, at: offset + 8)
            page.store(entry.kind.rawValue, at: offset + 16)
        }
        return page.bytes
    }
}
