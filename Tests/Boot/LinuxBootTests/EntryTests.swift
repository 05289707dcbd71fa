// SPDX-License-Identifier: Apache-2.0

import Platform
import GuestMemory
import LinuxBoot
import MachineModel
import Testing

@Suite struct EntryTests {
    @Test func `Linux with a PVH note is entered in 64-bit mode`() throws {
        let guest = try Guest(ELFBuilder.linux(pvhEntry: ELFBuilder.linuxText + 0x800).build())
        #expect(guest.kernel.entryProtocol == .linux64)
    }

    @Test(arguments: [4, 8], [4, 8] as [UInt64])
    func `Linux with a PVH note is entered by PVH when asked`(valueByteCount: Int, alignment: UInt64) throws {
        var linux = ELFBuilder.linux()
        let foreign = Bytes(count: 32)  // a note of no name and no value, then another
        linux.segments.append(.note(foreign.all))
        linux.segments.append(
            .pvhNote(ELFBuilder.linuxText + 0x800, valueByteCount: valueByteCount, alignment: alignment)
        )
        let guest = try Guest(linux.build(), entry: .pvh)
        #expect(guest.kernel.entryProtocol == .pvh)
        #expect(guest.kernel.state.instructionPointer == 0x100_0800)
    }

    @Test func `the payload of a bzImage is entered by PVH when asked`() throws {
        let linux = ELFBuilder.linux(pvhEntry: ELFBuilder.linuxText + 0x800)
        let builder = BzImageBuilder(payload: try Compressor.payload(linux.build(), .zstd))
        let guest = try Guest(builder.build(), entry: .pvh)
        #expect(guest.kernel.state.instructionPointer == 0x100_0800)
        #expect(guest.kernel.state.mode == .protected32)
    }

    @Test func `an image with a virtual entry and a PVH note offers only PVH`() throws {
        var builder = ELFBuilder.linux(pvhEntry: ELFBuilder.linuxText + 0x800)  // as FreeBSD is
        builder.entry = ELFBuilder.linuxText + ELFBuilder.linuxVirtualOffset
        #expect(try Guest(builder.build()).kernel.entryProtocol == .pvh)
        #expect(try Guest(builder.build(), entry: .elf).kernel.entryProtocol == .linux64)
    }

    @Test func `a small image with a PVH note offers only PVH`() throws {
        var builder = ELFBuilder.tiny(at: 0x10_0000, content: codeLikeBytes(100, seed: 4))
        builder.segments.append(.pvhNote(0x10_0010))
        let guest = try Guest(builder.build())
        #expect(guest.kernel.entryProtocol == .pvh)
        #expect(guest.kernel.state.instructionPointer == 0x10_0010)
    }

    @Test func `a 32-bit image is entered by PVH`() throws {
        var builder = ELFBuilder.tiny(at: 0x10_0000, content: codeLikeBytes(100, seed: 4))
        builder.is64Bit = false
        builder.machine = 3
        builder.segments.append(.pvhNote(0x10_0010, valueByteCount: 4))
        let guest = try Guest(builder.build())
        #expect(try guest.holds(builder))
        #expect(guest.kernel.state.instructionPointer == 0x10_0010)
    }

    @Test func `a PVH entry point outside of the image is refused`() throws {
        let linux = ELFBuilder.linux(pvhEntry: 0x10_0000)
        #expect(
            try problem(of: linux.build(), entry: .pvh)
                == .malformed("its PVH entry point 0x100000 lies in no segment")
        )
    }

    @Test func `PVH that is not offered cannot be asked for`() throws {
        guard case .entryNotOffered(.pvh, _) = try problem(of: ELFBuilder.linux().build(), entry: .pvh) else {
            Issue.record("loaded")
            return
        }
    }

    @Test(arguments: [0, 1, 12, 15, 16, 19])
    func `a note cut short is no note`(count: Int) throws {
        var linux = ELFBuilder.linux()
        let note = ELFBuilder.Segment.pvhNote(ELFBuilder.linuxText)
        linux.segments.append(.note(Array(note.content.prefix(count))))
        guard case .entryNotOffered = try problem(of: linux.build(), entry: .pvh) else {
            Issue.record("loaded")
            return
        }
    }

    // MARK: - Processor state

    @Test func `the 64-bit state is the one that boot.rst asks for`() throws {
        let guest = try Guest(ELFBuilder.linux().build())
        let state = guest.kernel.state
        #expect(state.mode == .long64(pageTables: X86Layout.pageTables))
        #expect(state.cr0 == 0x8000_0011)
        #expect(state.cr3 == X86Layout.pageTables.rawValue)
        #expect(state.cr4 == 0x20)
        #expect(state.efer == 0x500)
        #expect(state.flags == 0x2)
        #expect(state.rbx == 0)
        #expect(state.code.selector == 0x10 && state.code.isLong && !state.code.isDefault32)
        #expect(state.data.selector == 0x18 && state.data.limit == .max)
        #expect(try descriptor(0x10, guest) == 0x00af_9b00_0000_ffff)
        #expect(try descriptor(0x18, guest) == 0x00cf_9300_0000_ffff)
        #expect(try descriptor(0x20, guest) == 0x0000_8b00_0000_0067)
        #expect(state.gdtLimit == 47)
    }

    @Test func `the PVH state is the one that Xen's document asks for`() throws {
        let guest = try Guest(ELFBuilder.linux(pvhEntry: ELFBuilder.linuxText).build(), entry: .pvh)
        let state = guest.kernel.state
        #expect(state.mode == .protected32)
        #expect(state.cr0 == 0x11)
        #expect([state.cr3, state.cr4, state.efer, state.rsi] == [0, 0, 0, 0])
        #expect(state.rbx == X86Layout.pvhStartInfo.rawValue)
        #expect(state.code.isDefault32 && !state.code.isLong)
        #expect(try descriptor(0x10, guest) == 0x00cf_9b00_0000_ffff)
        #expect(state.task.limit == 0x67 && state.task.type == 0xb)
    }

    private func descriptor(_ selector: UInt64, _ guest: Guest) throws -> UInt64 {
        try guest.load(UInt64.self, at: guest.kernel.state.gdtBase.rawValue + selector)
    }

    @Test func `the page tables map 4 GiB one to one and nothing else`() throws {
        let guest = try Guest(ELFBuilder.linux().build())
        for address in [0, 0x7000, 0x1f_ffff, 0x20_0000, 0x100_0000, 0xbfff_ffff, 0xfee0_0000, 0xffff_ffff] as [UInt64]
        {
            #expect(try translate(address, guest) == address)
        }
        for address in [0x1_0000_0000, 0x7f_ffff_f000, 0xffff_ffff_8100_0000] as [UInt64] {
            #expect(try translate(address, guest) == nil)
        }
    }

    /// Walks the page tables as the processor does.
    private func translate(_ address: UInt64, _ guest: Guest) throws -> UInt64? {
        var table = guest.kernel.state.cr3
        for shift in [39, 30, 21] as [UInt64] {
            let entry = try guest.load(UInt64.self, at: table + (address >> shift & 0x1ff) * 8)
            guard entry & 1 != 0 else { return nil }
            #expect(entry & 2 != 0, "writable")
            #expect(shift != 30 || entry & 0x80 == 0, "no 1 GiB pages")
            if entry & 0x80 != 0 { return (entry & ~0x1f_ffff) | (address & 0x1f_ffff) }
            table = entry & ~0xfff
        }
        return nil
    }
}
