// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Interpreter
import Machine
import Testing

@Suite struct PageWalkTests {
    /// Bits of a paging entry (Intel SDM volume 3A, table 4-20).
    private enum Bit {
        static let present: UInt64 = 1 << 0
        static let writable: UInt64 = 1 << 1
        static let user: UInt64 = 1 << 2
        static let accessed: UInt64 = 1 << 5
        static let dirty: UInt64 = 1 << 6
        static let large: UInt64 = 1 << 7
        static let noExecute: UInt64 = 1 << 63
        static let table = present | writable | user
    }

    /// Four levels of tables, one page each, for one linear address.
    private struct Tables {
        static let linear: UInt64 = 0x7080_6040_5000
        let memory: GuestMemory

        init() throws {
            memory = try GuestMemory(byteCount: 16 << 20)
            for level in 1...3 { try set(level, to: base(level - 1) | Bit.table) }
        }

        /// The page of level `level`, 3 for the PML4.
        func base(_ level: Int) -> UInt64 { 0x1_0000 + UInt64(level) * 0x1000 }

        func address(_ level: Int) -> GuestAddress {
            GuestAddress(rawValue: base(level) + (Self.linear >> UInt64(12 + 9 * level) & 0x1ff) * 8)
        }

        func set(_ level: Int, to entry: UInt64) throws { try memory.store(entry, at: address(level)) }

        func entry(_ level: Int) throws -> UInt64 { try memory.load(UInt64.self, at: address(level)) }
    }

    private func walk(
        _ tables: Tables,
        at linear: UInt64 = Tables.linear,
        isWrite: Bool = false,
        isUser: Bool = false,
        hasWriteProtect: Bool = true,
        hasSMAP: Bool = false,
        hasAlignmentCheckFlag: Bool = false
    ) throws(MemoryFault) -> (address: GuestAddress, byteCount: UInt64) {
        let context = PageWalk.Context(
            cr0: 1 << 31 | 1 | (hasWriteProtect ? 1 << 16 : 0),
            cr3: tables.base(3) | 0x18,
            cr4: 1 << 5 | (hasSMAP ? 1 << 21 : 0),
            efer: 1 << 10 | 1 << 8 | 1 << 11,
            isUser: isUser,
            hasAlignmentCheckFlag: hasAlignmentCheckFlag
        )
        return try PageWalk(memory: tables.memory, context: context).translate(linear, isWrite: isWrite)
    }

    private func fault(_ cause: MemoryFault.Cause, isWrite: Bool = false) -> MemoryFault {
        MemoryFault(address: Tables.linear, isWrite: isWrite, cause: cause)
    }

    @Test(arguments: [(0, 12), (1, 21), (2, 30)] as [(Int, UInt64)])
    func `a page of every size is found, with the rest of its bytes`(level: Int, shift: UInt64) throws {
        let tables = try Tables()
        let size: UInt64 = 1 << shift
        let frame: UInt64 = level == 0 ? 0x5000 : size
        try tables.set(level, to: frame | Bit.table | Bit.noExecute | (level > 0 ? Bit.large : 0))
        let linear = Tables.linear | 0x123
        let page = try walk(tables, at: linear)
        #expect(page.address.rawValue == frame + linear % size)
        #expect(page.byteCount == size - linear % size)
    }

    @Test func `without paging an address is its own`() throws {
        let tables = try Tables()
        let context = PageWalk.Context(cr0: 1, cr3: 0, cr4: 0, efer: 0, isUser: false, hasAlignmentCheckFlag: false)
        let page = try PageWalk(memory: tables.memory, context: context).translate(0x1_0000_2345, isWrite: true)
        #expect(page.address == 0x2345)
        #expect(page.byteCount == 0x1000 - 0x345)
    }

    @Test(arguments: 0...3)
    func `an entry of any level that is not present faults and marks nothing below`(level: Int) throws {
        let tables = try Tables()
        try tables.set(0, to: 0x5000 | Bit.table)
        try tables.set(level, to: tables.entry(level) & ~Bit.present)
        #expect(throws: fault(.notPresent)) { try walk(tables) }
        for below in 0...level { #expect(try tables.entry(below) & Bit.accessed == 0) }
    }

    @Test func `a read marks every level accessed, a write its page dirty as well`() throws {
        let tables = try Tables()
        try tables.set(0, to: 0x5000 | Bit.table)
        _ = try walk(tables)
        for level in 0...3 { #expect(try tables.entry(level) & (Bit.accessed | Bit.dirty) == Bit.accessed) }
        _ = try walk(tables, isWrite: true)
        #expect(try tables.entry(0) & Bit.dirty != 0)
        for level in 1...3 { #expect(try tables.entry(level) & Bit.dirty == 0) }
    }

    @Test(arguments: 0...3)
    func `a level that is read-only makes the page so, for the kernel while CR0 has WP`(level: Int) throws {
        let tables = try Tables()
        try tables.set(0, to: 0x5000 | Bit.table)
        try tables.set(level, to: tables.entry(level) & ~Bit.writable)
        _ = try walk(tables)
        #expect(throws: fault(.protection, isWrite: true)) { try walk(tables, isWrite: true) }
        #expect(throws: fault(.protection, isWrite: true)) {
            try walk(tables, isWrite: true, isUser: true, hasWriteProtect: false)
        }
        #expect(try tables.entry(0) & Bit.dirty == 0)
        _ = try walk(tables, isWrite: true, hasWriteProtect: false)
    }

    @Test(arguments: 0...3)
    func `a level that is the kernel's keeps user code out`(level: Int) throws {
        let tables = try Tables()
        try tables.set(0, to: 0x5000 | Bit.table)
        _ = try walk(tables, isUser: true)
        try tables.set(level, to: tables.entry(level) & ~Bit.user)
        #expect(throws: fault(.protection)) { try walk(tables, isUser: true) }
        _ = try walk(tables)
    }

    @Test func `SMAP keeps the kernel out of user pages unless AC is set`() throws {
        let tables = try Tables()
        try tables.set(0, to: 0x5000 | Bit.table)
        #expect(throws: fault(.protection)) { try walk(tables, hasSMAP: true) }
        _ = try walk(tables, hasSMAP: true, hasAlignmentCheckFlag: true)
        _ = try walk(tables, isUser: true, hasSMAP: true)
        try tables.set(2, to: tables.entry(2) & ~Bit.user)
        _ = try walk(tables, hasSMAP: true)
    }

    @Test func `tables outside memory are no fault of the guest's`() throws {
        let tables = try Tables()
        try tables.set(2, to: 0x7fff_0000_0000 | Bit.table)
        #expect(throws: fault(.notMemory)) { try walk(tables) }
    }
}
