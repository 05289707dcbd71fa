// SPDX-License-Identifier: Apache-2.0

import Glibc
import GuestMemory
import SystemPackage
import TestSupport
import Testing

@Suite struct GuestMemoryTests {
    /// Two adjacent regions and, after a hole, a third.
    private func makeMemory() throws -> GuestMemory {
        try GuestMemory(regions: [
            GuestMemoryRegion(start: 0x1000, byteCount: 0x1000),
            GuestMemoryRegion(start: 0x8000, byteCount: 0x1000),
            GuestMemoryRegion(start: 0x2000, byteCount: 0x1000),
        ])
    }

    @Test func `fresh memory reads as zeros`() throws {
        #expect(try makeMemory().read(byteCount: 16, at: 0x1ff8) == [UInt8](repeating: 0, count: 16))
    }

    @Test func `a copy crosses from a region into an adjacent one`() throws {
        let memory = try makeMemory()
        try memory.write([1, 2, 3, 4], at: 0x1ffe)
        #expect(try memory.read(byteCount: 4, at: 0x1ffe) == [1, 2, 3, 4])
        #expect(try memory.load(UInt32.self, at: 0x1ffe) == 0x0403_0201)
    }

    @Test(arguments: [0x0fff, 0x2ffd, 0x7fff, 0x8ffe, .max, .max - 3] as [UInt64])
    func `an access that leaves guest memory throws and changes nothing`(address: UInt64) throws {
        let memory = try makeMemory()
        let address = GuestAddress(rawValue: address)
        #expect(throws: GuestMemoryError.outOfRange(address, byteCount: 4)) {
            try memory.store(0xffff_ffff as UInt32, at: address)
        }
        #expect(throws: GuestMemoryError.outOfRange(address, byteCount: 4)) {
            try memory.load(UInt32.self, at: address)
        }
        #expect(throws: GuestMemoryError.outOfRange(address, byteCount: 4)) {
            try memory.fill(0xff, byteCount: 4, at: address)
        }
        for region in memory.regions {
            let bytes = try memory.read(byteCount: Int(region.byteCount), at: region.start)
            #expect(bytes.allSatisfy { $0 == 0 })
        }
    }

    @Test func `of a huge page with little in it the host keeps what is used, and nothing else changes`() throws {
        let (step, pageCount): (UInt64, Int) = (2 << 20, 512)
        let region = try GuestMemoryRegion(start: 0, byteCount: 4 * step)
        let memory = try GuestMemory(regions: [region])
        try memory.fill(1, byteCount: step, at: 0)
        try memory.fill(0, byteCount: 3 * step, at: GuestAddress(rawValue: step))
        try memory.write([7], at: 0x20_0000)
        try memory.write([9], at: 0x3f_ffff)
        memory.replaceSparseHugePages(in: 0x1000..<2 * step + 1)
        #expect(try (0..<4).map { try residentPageCount(of: region, at: $0 * step) } == [pageCount, 2, 0, pageCount])
        #expect(try mappingCount(of: region) == 1)
        #expect(try memory.load(UInt8.self, at: 0x20_0000) == 7)
        #expect(try memory.load(UInt8.self, at: 0x3f_ffff) == 9)
        #expect(try memory.read(byteCount: Int(step), at: 0) == [UInt8](repeating: 1, count: Int(step)))
        #expect(try memory.read(byteCount: 0x1f_fffe, at: 0x20_0001).allSatisfy { $0 == 0 })
        // Beyond the memory, and in a part that is no whole huge page, nothing happens.
        memory.replaceSparseHugePages(in: 4 * step..<6 * step)
        try makeMemory().replaceSparseHugePages(in: 0..<step)
    }

    /// The number of the process's mappings that have a part of the region.
    private func mappingCount(of region: GuestMemoryRegion) throws -> Int {
        let start = unsafe region.withUnsafeHostPointer(at: region.start, byteCount: region.byteCount) {
            UInt(bitPattern: $0)
        }
        let base = try #require(start)
        let maps = String(decoding: try FileContents.read("/proc/self/maps"), as: UTF8.self)
        return maps.split(separator: "\n").count { line in
            let bounds = line.prefix { $0 != " " }.split(separator: "-").compactMap { UInt($0, radix: 16) }
            return bounds[0] < base + UInt(region.byteCount) && base < bounds[1]
        }
    }

    private func residentPageCount(of region: GuestMemoryRegion, at start: UInt64) throws -> Int {
        var pages = [UInt8](repeating: 0, count: 512)
        let result = unsafe region.withUnsafeHostPointer(at: GuestAddress(rawValue: start), byteCount: 2 << 20) {
            unsafe mincore($0, 2 << 20, &pages)
        }
        try #require(result == 0)
        return pages.count { $0 & 1 != 0 }
    }

    @Test func `a size that the guest made up is refused before anything is allocated for it`() throws {
        let memory = try makeMemory()
        #expect(throws: GuestMemoryError.outOfRange(0x1000, byteCount: UInt64(Int.max))) {
            try memory.read(byteCount: .max, at: 0x1000)
        }
        #expect(!memory.contains(0x1000, byteCount: .max))
    }

    @Test(arguments: [(0x1000, 0), (0x1001, 0x1000), (0x1000, 0x1001), (.max - 0xfff, 0x2000)] as [(UInt64, UInt64)])
    func `a region must be whole pages inside the address space`(start: UInt64, byteCount: UInt64) {
        let start = GuestAddress(rawValue: start)
        #expect(throws: GuestMemoryError.badRegion(start, byteCount: byteCount)) {
            try GuestMemoryRegion(start: start, byteCount: byteCount)
        }
    }

    @Test func `regions that overlap are refused`() {
        #expect(throws: GuestMemoryError.overlap(0x2000)) {
            try GuestMemory(regions: [
                GuestMemoryRegion(start: 0x2000, byteCount: 0x1000),
                GuestMemoryRegion(start: 0x1000, byteCount: 0x2000),
            ])
        }
    }

    @Test func `a file is read straight into memory, across regions`() throws {
        let memory = try makeMemory()
        let file = try FileDescriptor.open(FilePath("/proc/self/exe"), .readOnly)
        defer { try? file.close() }
        try memory.read(from: file, offset: 1, byteCount: 0x1800, at: 0x1400)
        #expect(try memory.read(byteCount: 3, at: 0x1400) == Array("ELF".utf8))
    }

    @Test func `a file that ends early says how much is missing`() throws {
        let memory = try makeMemory()
        let file = try FileDescriptor.open(FilePath("/dev/null"), .readOnly)
        defer { try? file.close() }
        #expect(throws: GuestMemoryError.endOfFile(missing: 16)) {
            try memory.read(from: file, offset: 0, byteCount: 16, at: 0x1000)
        }
    }

    // MARK: - Search

    @Test(arguments: [0x1000, 0x1ffd, 0x2ffb] as [UInt64])
    func `bytes are found anywhere in a range, across regions too`(address: UInt64) throws {
        let memory = try makeMemory()
        try memory.write([1, 2, 3, 4, 5], at: GuestAddress(rawValue: address))
        #expect(try memory.contains([1, 2, 3, 4, 5], in: 0x1000..<0x3000))
        #expect(try !memory.contains([1, 2, 3, 4, 6], in: 0x1000..<0x3000))
        let next = GuestAddress(rawValue: address + 1)
        #expect(try !memory.contains([1, 2, 3, 4, 5], in: next..<0x3000))
        #expect(try !memory.contains([1, 2, 3, 4, 5], in: 0x1000..<GuestAddress(rawValue: address + 4)))
    }

    @Test func `a range shorter than the bytes does not hold them`() throws {
        #expect(try !makeMemory().contains([0, 0], in: 0x1000..<0x1001))
        #expect(try makeMemory().contains([], in: 0x1000..<0x1000))
    }

    @Test func `a search beyond memory is refused`() throws {
        let memory = try makeMemory()
        #expect(throws: GuestMemoryError.self) { try memory.contains([1], in: 0x2000..<0x3001) }
    }
}
