// SPDX-License-Identifier: Apache-2.0

import Platform
import CBootParameters
import GuestMemory
import LinuxBoot
import MachineModel
import Testing

@Suite struct BootParametersTests {
    private static let zeroPage = X86Layout.zeroPage.rawValue

    /// The integer at the place that the kernel's own header gives a field.
    private func field<T: FixedWidthInteger & BitwiseCopyable>(
        _ type: T.Type,
        _ offset: Int,
        _ guest: Guest
    ) throws -> T {
        try guest.load(type, at: Self.zeroPage + UInt64(offset))
    }

    @Test func `an ELF image gets a header as a bzImage has it`() throws {
        let guest = try Guest(
            ELFBuilder.linux().build(),
            initrd: codeLikeBytes(5000, seed: 5),
            rsdp: X86Layout.acpiTables,
            rngSeed: [UInt8](repeating: 7, count: 32)
        )
        #expect(cbp_size == 4096)
        #expect(try field(UInt16.self, cbp_boot_flag, guest) == 0xaa55)
        #expect(try guest.bytes(at: Self.zeroPage + UInt64(cbp_magic), count: 4) == Array("HdrS".utf8))
        #expect(try field(UInt16.self, cbp_version, guest) == 0x020f)
        #expect(try field(UInt16.self, cbp_root_flags, guest) == 1)
        #expect(try field(UInt16.self, cbp_video_mode, guest) == 0xffff)
        #expect(try field(UInt8.self, cbp_loader_type, guest) == 0xff)
        #expect(try field(UInt8.self, cbp_load_flags, guest) == 0x81)
        #expect(try field(UInt32.self, cbp_command_line_size, guest) == 2047)
        #expect(try field(UInt32.self, cbp_command_line_address, guest) == 0x2_0000)
        #expect(try field(UInt32.self, cbp_command_line_address_high, guest) == 0)
        #expect(try field(UInt64.self, cbp_rsdp_address, guest) == X86Layout.acpiTables.rawValue)
        #expect(try field(UInt32.self, cbp_initrd_address, guest) == 0x3ff_e000)
        #expect(try field(UInt32.self, cbp_initrd_size, guest) == 5000)
        #expect(try field(UInt32.self, cbp_initrd_address_high, guest) == 0)
        #expect(try field(UInt32.self, cbp_initrd_size_high, guest) == 0)
        #expect(try field(UInt64.self, cbp_setup_data, guest) == X86Layout.setupData.rawValue)
        #expect(try field(UInt8.self, cbp_sentinel, guest) == 0)
    }

    @Test func `the header of a bzImage is copied, and only the header`() throws {
        var builder = BzImageBuilder(payload: try Compressor.payload(ELFBuilder.linux().build(), .gzip))
        builder.loadFlags = 0x03  // KASLR_FLAG is not for a loader to pass on
        let file = builder.build()
        let guest = try Guest(file)
        let page = try guest.bytes(at: Self.zeroPage, count: 4096)
        #expect(page[..<0x070].allSatisfy { $0 == 0 }, "screen_info and what follows")
        #expect(try field(UInt8.self, cbp_sentinel, guest) == 0)
        #expect(Array(page[0x230..<0x250]) == Array(file[0x230..<0x250]))
        #expect(Array(page[0x258..<0x26c]) == Array(file[0x258..<0x26c]))
        #expect(page[0x26c..<0x2d0].allSatisfy { $0 == 0 })
        #expect(try field(UInt8.self, cbp_load_flags, guest) == 0x81)
        #expect(try field(UInt8.self, cbp_loader_type, guest) == 0xff)
        #expect(try field(UInt32.self, cbp_initrd_size, guest) == 0)
        #expect(try field(UInt64.self, cbp_setup_data, guest) == 0)
        #expect(try field(UInt64.self, cbp_rsdp_address, guest) == 0)
    }

    @Test func `the command line ends with a NUL`() throws {
        let guest = try Guest(ELFBuilder.linux().build(), commandLine: "quiet init=/bin/sh")
        let expected = Array("quiet init=/bin/sh\0".utf8)
        #expect(try guest.bytes(at: X86Layout.commandLine.rawValue, count: expected.count) == expected)
    }

    @Test func `the identity page is the first setup_data entry, with the seed behind it`() throws {
        let memory = try Guest(
            ELFBuilder.linux().build(),
            hasIdentityPage: true,
            rngSeed: [UInt8](repeating: 7, count: 32)
        ).memory
        let entry = X86Layout.setupData.rawValue
        func number(_ offset: UInt64) throws -> UInt64 {
            try memory.load(UInt64.self, at: GuestAddress(rawValue: entry + offset))
        }
        #expect(try number(0) == entry + 16 + 136)
        // Type and size.
        #expect(try number(8) == 0x4d54_4c54 | 136 << 32)
        #expect(try memory.read(byteCount: 8, at: X86Layout.identityPage) == Array("mrtl-id1".utf8))
        #expect(try number(16 + 8) == 0)
        #expect(try number(152) == 0)
        #expect(try number(160) == 9 | 32 << 32)
        #expect(try memory.load(UInt8.self, at: GuestAddress(rawValue: entry + 168)) == 7)
    }

    @Test func `the seed is a setup_data entry`() throws {
        let seed = codeLikeBytes(64, seed: 6)
        let guest = try Guest(ELFBuilder.linux().build(), rngSeed: seed)
        let entry = X86Layout.setupData.rawValue
        #expect(try guest.load(UInt64.self, at: entry) == 0)
        #expect(try guest.load(UInt32.self, at: entry + 8) == UInt32(cbp_rng_seed_type))
        #expect(try guest.load(UInt32.self, at: entry + 12) == 64)
        #expect(try guest.bytes(at: entry + 16, count: 64) == seed)
        // Linux splits RAM around it, and looks through all pieces thousands of times.
        let owner = guest.kernel.memoryMap.entries.first { entry - $0.start.rawValue < $0.byteCount }
        #expect(owner?.kind == .reserved)
    }

    // MARK: - Memory map

    private struct Entry: Hashable {
        let start: UInt64
        let end: UInt64
        let type: UInt32
    }

    private static func high(_ ends: Entry...) -> [Entry] {
        [
            Entry(start: 0, end: 0x9_fc00, type: 1),
            Entry(start: 0x9_fc00, end: 0x10_0000, type: 2),
        ] + ends
    }

    private static let gibibyte: UInt64 = 1 << 30

    private static let maps: [(UInt64, [Entry])] = [
        (16 << 20, high(Entry(start: 0x10_0000, end: 16 << 20, type: 1))),
        (128 << 20, high(Entry(start: 0x10_0000, end: 128 << 20, type: 1))),
        (3 * gibibyte, high(Entry(start: 0x10_0000, end: 3 * gibibyte, type: 1))),
        (
            3 * gibibyte + gibibyte / 2,
            high(
                Entry(start: 0x10_0000, end: 3 * gibibyte, type: 1),
                Entry(start: 4 * gibibyte, end: 4 * gibibyte + gibibyte / 2, type: 1)
            )
        ),
        (
            8 * gibibyte,
            high(
                Entry(start: 0x10_0000, end: 3 * gibibyte, type: 1),
                Entry(start: 4 * gibibyte, end: 9 * gibibyte, type: 1)
            )
        ),
    ]

    @Test(arguments: maps)
    private func `E820 tells the guest what RAM it has`(byteCount: UInt64, expected: [Entry]) throws {
        let guest = try Guest(ELFBuilder.tiny(at: 0x10_0000).build(), memoryByteCount: byteCount)
        #expect(cbp_e820_entry_size == 20)
        let count = try field(UInt8.self, cbp_e820_entry_count, guest)
        let table = Self.zeroPage + UInt64(cbp_e820_table)
        let found = try (0..<UInt64(count)).map { index in
            let start = try guest.load(UInt64.self, at: table + index * 20)
            let size = try guest.load(UInt64.self, at: table + index * 20 + 8)
            let type = try guest.load(UInt32.self, at: table + index * 20 + 16)
            return Entry(start: start, end: start + size, type: type)
        }
        #expect(found == expected)
    }

    @Test func `regions that touch are one entry, and too many are refused`() throws {
        let page: UInt64 = 4096
        let touching = try GuestMemory(
            regions: [
                GuestMemoryRegion(start: 0, byteCount: 1 << 20), GuestMemoryRegion(start: 0x10_0000, byteCount: page),
                GuestMemoryRegion(start: 0x10_1000, byteCount: page),
            ]
        )
        let map = try MemoryMap(of: touching)
        #expect(map.entries.last?.start == 0x10_0000)
        #expect(map.entries.last?.byteCount == 2 * page)

        let many = try GuestMemory(
            regions: (0..<130).map { index in
                try GuestMemoryRegion(start: GuestAddress(rawValue: 0x10_0000 + index * 2 * page), byteCount: page)
            }
        )
        #expect(throws: BootError.memoryMapTooLong(entryCount: 131, limit: 128)) { try MemoryMap(of: many) }
    }

    // MARK: - PVH

    @Test func `the PVH start information names everything`() throws {
        let guest = try Guest(
            ELFBuilder.linux(pvhEntry: ELFBuilder.linuxText).build(),
            memoryByteCount: 5 * Self.gibibyte,
            entry: .pvh,
            initrd: codeLikeBytes(5000, seed: 5),
            commandLine: "quiet",
            rsdp: X86Layout.acpiTables
        )
        let info = guest.kernel.state.rbx
        #expect(try guest.load(UInt32.self, at: info) == 0x336e_c578)
        #expect(try guest.load(UInt32.self, at: info + 4) == 1)
        #expect(try guest.load(UInt32.self, at: info + 12) == 1)
        let module = try guest.load(UInt64.self, at: info + 16)
        let initrd = try #require(guest.kernel.initrdRange)
        #expect(try guest.load(UInt64.self, at: module) == initrd.lowerBound.rawValue)
        #expect(try guest.load(UInt64.self, at: module + 8) == 5000)
        #expect(try guest.bytes(at: guest.load(UInt64.self, at: info + 24), count: 6) == Array("quiet\0".utf8))
        #expect(try guest.load(UInt64.self, at: info + 32) == X86Layout.acpiTables.rawValue)
        let map = try guest.load(UInt64.self, at: info + 40)
        #expect(try guest.load(UInt32.self, at: info + 48) == 4)
        #expect(try guest.load(UInt64.self, at: map + 3 * 24) == 0x1_0000_0000)
        #expect(try guest.load(UInt64.self, at: map + 3 * 24 + 8) == 2 * Self.gibibyte)
        #expect(try guest.load(UInt32.self, at: map + 3 * 24 + 16) == 1)
    }

    @Test func `without an initrd there is no PVH module`() throws {
        let guest = try Guest(ELFBuilder.linux(pvhEntry: ELFBuilder.linuxText).build(), entry: .pvh)
        #expect(try guest.load(UInt32.self, at: guest.kernel.state.rbx + 12) == 0)
        #expect(try guest.load(UInt64.self, at: guest.kernel.state.rbx + 16) == 0)
    }
}
