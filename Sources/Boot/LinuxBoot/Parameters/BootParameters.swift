// SPDX-License-Identifier: Apache-2.0

import Platform
import GuestMemory

/// Linux's "zero page", `struct boot_params`, by which a boot loader informs the kernel.
///
/// Documentation/arch/x86/boot.rst and zero-page.rst are the authority. Everything that is not set stays zero:
/// `screen_info` above all, because there is no VGA.
struct BootParameters {
    /// Offsets in `struct boot_params`; those from 0x1f1 to 0x28f are the setup header's.
    enum Field {
        static let rsdpAddress = 0x070
        static let initrdAddressHigh = 0x0c0
        static let initrdSizeHigh = 0x0c4
        static let commandLineAddressHigh = 0x0c8
        static let e820EntryCount = 0x1e8
        static let header = 0x1f1
        static let rootFlags = 0x1f2
        static let videoMode = 0x1fa
        static let bootFlag = 0x1fe
        static let magic = 0x202
        static let version = 0x206
        static let loaderType = 0x210
        static let loadFlags = 0x211
        static let entry32 = 0x214
        static let initrdAddress = 0x218
        static let initrdSize = 0x21c
        static let heapEnd = 0x224
        static let commandLineAddress = 0x228
        static let initrdAddressMax = 0x22c
        static let kernelAlignment = 0x230
        static let commandLineSize = 0x238
        static let setupData = 0x250
        static let e820Table = 0x2d0
    }

    /// Bits of `loadflags`.
    private enum LoadFlag {
        static let loadedHigh: UInt8 = 1 << 0
        static let kaslr: UInt8 = 1 << 1
        static let canUseHeap: UInt8 = 1 << 7
    }

    static let byteCount = 4096
    private static let e820EntryByteCount = 20

    /// The header of the bzImage; without one, a header is made up as a bzImage of Linux 6 has it.
    let header: SetupHeader?
    /// The address of the loaded protected-mode part, when the image's own entry is used.
    let imageAddress: GuestAddress?
    let commandLine: GuestAddress
    let initrd: Range<GuestAddress>?
    let rsdp: GuestAddress?
    let setupData: GuestAddress?
    let memoryMap: MemoryMap

    /// The page to be put at `X86Layout.zeroPage`.
    var bytes: [UInt8] {
        var page = ByteWriter(byteCount: Self.byteCount)
        if let header {
            page.store(header.bytes, at: Field.header)
        } else {
            Self.storeHeader(in: &page)
        }
        page.store(0xff as UInt8, at: Field.loaderType)  // no assigned loader number
        page.store(0xffff as UInt16, at: Field.videoMode)  // "normal"
        // KASLR_FLAG is the image's own code's to set: nothing was randomised here.
        let flags = page.bytes[Field.loadFlags] & ~LoadFlag.kaslr | LoadFlag.loadedHigh | LoadFlag.canUseHeap
        page.store(flags, at: Field.loadFlags)
        page.store(0xe000 - 0x200 as UInt16, at: Field.heapEnd)  // boot.rst's sample; used in real mode only
        if let imageAddress { page.store(UInt32(truncatingIfNeeded: imageAddress.rawValue), at: Field.entry32) }

        storeSplit(commandLine.rawValue, low: Field.commandLineAddress, high: Field.commandLineAddressHigh, in: &page)
        let start = initrd?.lowerBound.rawValue ?? 0
        let size = initrd.map { $0.upperBound.rawValue - $0.lowerBound.rawValue } ?? 0
        storeSplit(start, low: Field.initrdAddress, high: Field.initrdAddressHigh, in: &page)
        storeSplit(size, low: Field.initrdSize, high: Field.initrdSizeHigh, in: &page)
        page.store(rsdp?.rawValue ?? 0, at: Field.rsdpAddress)
        page.store(setupData?.rawValue ?? 0, at: Field.setupData)

        page.store(UInt8(memoryMap.entries.count), at: Field.e820EntryCount)
        for (index, entry) in memoryMap.entries.enumerated() {
            let offset = Field.e820Table + index * Self.e820EntryByteCount
            page.store(entry.start.rawValue, at: offset)
            page.store(entry.byteCount, at: offset + 8)
            page.store(entry.kind.rawValue, at: offset + 16)
        }
        return page.bytes
    }

    private func storeSplit(_ value: UInt64, low: Int, high: Int, in page: inout ByteWriter) {
        page.store(UInt32(truncatingIfNeeded: value), at: low)
        page.store(UInt32(truncatingIfNeeded: value >> 32), at: high)
    }

    private static func storeHeader(in page: inout ByteWriter) {
        page.store(1 as UInt16, at: Field.rootFlags)  // the root file system is mounted read-only at first
        page.store(0xaa55 as UInt16, at: Field.bootFlag)
        page.store(Array("HdrS".utf8), at: Field.magic)
        page.store(0x020f as UInt16, at: Field.version)
        page.store(UInt32.max, at: Field.initrdAddressMax)
        page.store(0x20_0000 as UInt32, at: Field.kernelAlignment)
        page.store(UInt32(KernelCommandLine.linuxLimit), at: Field.commandLineSize)
    }
}
