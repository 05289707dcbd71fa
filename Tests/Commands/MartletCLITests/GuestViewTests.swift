// SPDX-License-Identifier: Apache-2.0

import Machine
import MachineModel
import Testing
import TestSupport

@Suite("What a guest finds when it is entered", .enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
struct GuestViewTests {
    private struct MemoryRange: Hashable {
        let start: UInt64
        let byteCount: UInt64
    }

    /// The RAM of a page of boot parameters' E820 table.
    private func ram(in page: [UInt8]) -> [MemoryRange] {
        (0..<Int(page[0x1e8])).compactMap { index in
            let offset = 0x2d0 + index * 20
            guard page.integer(UInt32.self, at: offset + 16) == 1 else { return nil }
            return MemoryRange(start: page.integer(at: offset), byteCount: page.integer(at: offset + 8))
        }
    }

    static let memorySizes: [UInt64] = [16, 128, 3072, 3584, 5120].filter {
        $0 << 20 <= MachineConfiguration.hostMemoryByteCount
    }

    @Test(arguments: memorySizes)
    func `E820 shows all of the memory, around the legacy hole and the device hole`(mebibytes: UInt64) throws {
        let guest = TinyELF([.dumpBootParameters, .powerOff, .spin])
        let result = try Martlet(image: guest, ["--memory", "\(mebibytes)M"]).runToEnd()
        try #require(result.output.count == 4096)
        let byteCount = mebibytes << 20
        let hole: UInt64 = 3 << 30
        var expected = [
            MemoryRange(start: 0, byteCount: 0x9_fc00),
            MemoryRange(start: 0x10_0000, byteCount: min(byteCount, hole) - 0x10_0000),
        ]
        if byteCount > hole { expected.append(MemoryRange(start: 4 << 30, byteCount: byteCount - hole)) }
        #expect(ram(in: result.output) == expected)
        #expect(result.termination == .exited(0))
    }

    @Test(arguments: [("256", 256), ("256M", 256), ("256MiB", 256), ("262144k", 256), ("1g", 1024)])
    func `a size of memory can be written in many ways`(text: String, mebibytes: UInt64) throws {
        let guest = TinyELF([.dumpBootParameters, .powerOff, .spin])
        let result = try Martlet(image: guest, ["--memory", text]).runToEnd()
        try #require(result.output.count == 4096)
        #expect(ram(in: result.output).last == MemoryRange(start: 0x10_0000, byteCount: (mebibytes - 1) << 20))
    }

    private func commandLine(_ options: String...) throws -> String {
        let dump = GuestCode.dump(behind32BitPointerAt: 0x228, byteCount: 512)
        let result = try Martlet(image: TinyELF([dump, .powerOff, .spin]), options).runToEnd()
        try #require(result.output.count == 512)
        return String(decoding: result.output.prefix { $0 != 0 }, as: UTF8.self)
    }

    @Test func `the user's parameters come after Martlet's own`() throws {
        let line = try commandLine("--cmdline", "loglevel=3 foo=\"a b\"")
        #expect(line.hasPrefix("virtio_mmio.device=4K@0xd0000000:5 console=ttyS0 "))
        #expect(line.hasSuffix(" loglevel=3 foo=\"a b\""))
    }

    @Test(arguments: ["quiet x=1", ""])
    func `a complete command line is all that the guest gets`(line: String) throws {
        #expect(try commandLine("--cmdline-only", line) == line)
    }

    @Test func `each run has a seed of its own for the guest's random numbers`() throws {
        let dump = GuestCode.dump(behind64BitPointerAt: 0x250, byteCount: 16 + 64)
        let martlet = Martlet(guest: [dump, .powerOff, .spin])
        let entries = try (0..<2).map { _ in try martlet.runToEnd().output }
        for entry in entries {
            try #require(entry.count == 80)
            #expect(entry.integer(UInt32.self, at: 8) == 9, "SETUP_RNG_SEED")
            #expect(entry.integer(UInt32.self, at: 12) >= 32)
            #expect(Set(entry.dropFirst(16)).count > 16)
        }
        #expect(entries[0].dropFirst(16) != entries[1].dropFirst(16))
    }

    @Test(arguments: [1, 2, 32])
    func `the MADT lists every vCPU once, enabled`(count: Int) throws {
        // The tables lie behind the RSDP, whose address is in the boot parameters.
        let dump = GuestCode.dump(0xe_0000, byteCount: 8192)
        let guest = TinyELF([.dumpBootParameters, dump, .powerOff, .spin])
        let result = try Martlet(image: guest, ["--cpus", "\(count)"]).runToEnd()
        try #require(result.output.count == 4096 + 8192)
        let firmware = Array(result.output.dropFirst(4096))
        let rsdp = Int(result.output.integer(UInt64.self, at: 0x70)) - 0xe_0000
        try #require(firmware[rsdp..<(rsdp + 8)].elementsEqual("RSD PTR ".utf8))
        let xsdt = Int(firmware.integer(UInt64.self, at: rsdp + 24)) - 0xe_0000
        let xsdtEnd = xsdt + Int(firmware.integer(UInt32.self, at: xsdt + 4))
        let tables = stride(from: xsdt + 36, to: xsdtEnd, by: 8).map {
            Int(firmware.integer(UInt64.self, at: $0)) - 0xe_0000
        }
        let madt = try #require(tables.first { firmware[$0..<($0 + 4)].elementsEqual("APIC".utf8) })
        #expect(firmware.processors(inMADTAt: madt) == (0..<count).map(UInt32.init))
    }
}

extension [UInt8] {
    fileprivate func integer<T: FixedWidthInteger>(_ type: T.Type = T.self, at offset: Int) -> T {
        self[offset..<(offset + T.bitWidth / 8)].reversed().reduce(0) { $0 << 8 | T($1) }
    }

    /// The APIC ids of the enabled processors: local APIC (type 0) and local x2APIC (type 9) structures.
    fileprivate func processors(inMADTAt start: Int) -> [UInt32] {
        var ids: [UInt32] = []
        var position = start + 44
        while position < start + Int(integer(UInt32.self, at: start + 4)), self[position + 1] > 0 {
            if self[position] == 0, self[position + 4] & 1 == 1 { ids.append(UInt32(self[position + 3])) }
            if self[position] == 9, self[position + 8] & 1 == 1 { ids.append(integer(at: position + 4)) }
            position += Int(self[position + 1])
        }
        return ids
    }
}
