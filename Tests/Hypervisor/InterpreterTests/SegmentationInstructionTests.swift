// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Interpreter

/// The tests of selectors, on a GDT like Linux's.
@Suite struct SegmentationInstructionTests {
    private func cpu() -> FakeCPU {
        var cpu = FakeCPU()
        cpu.globalTable.limit = 0x7F
        cpu.set(0x00AF_9B00_0000_FFFF as UInt64, at: cpu.memoryStart + 0x10)  // kernel code
        cpu.set(0x00CF_9300_0000_FFFF as UInt64, at: cpu.memoryStart + 0x18)  // kernel data
        cpu.set(0x00CF_F300_0000_FFFF as UInt64, at: cpu.memoryStart + 0x28)  // user data
        cpu.set(0x0040_F500_0000_0123 as UInt64, at: cpu.memoryStart + 0x30)  // Linux's CPU number: limit 0x123
        cpu.set(0x0000_9900_0000_FFFF as UInt64, at: cpu.memoryStart + 0x38)  // code, execute only
        cpu.set(0x0000_9F00_0000_FFFF as UInt64, at: cpu.memoryStart + 0x40)  // code, conforming and readable
        cpu.set(0x0000_8C00_0000_FFFF as UInt64, at: cpu.memoryStart + 0x48)  // call gate
        cpu.set(0x0000_8300_0000_FFFF as UInt64, at: cpu.memoryStart + 0x50)  // 16-bit TSS
        cpu.registers.rflags.insert(.carry)
        return cpu
    }

    @Test(
        arguments: [(0x30, 0, 0x123), (0x33, 3, 0x123), (0x10, 0, 0xFFFF_FFFF), (0x43, 3, 0xFFFF)]
            as [(UInt64, UInt8, UInt64)]
    )
    func `lsl reads the limit of a segment`(selector: UInt64, privilegeLevel: UInt8, limit: UInt64) {
        var cpu = cpu()
        cpu.currentPrivilegeLevel = privilegeLevel
        cpu.registers[.rcx] = selector | 0xABCD_0000
        #expect(cpu.complete([0x0F, 0x03, 0xC1]) == .completed)
        #expect(cpu.registers[.rax] == limit)
        #expect(cpu.registers.rflags == [.alwaysOne, .carry, .zero])
    }

    @Test(arguments: [(0x10, 0xAF_9B00), (0x28, 0xCF_F300), (0x48, 0x8C00)] as [(UInt64, UInt64)])
    func `lar reads the access rights of a segment`(selector: UInt64, rights: UInt64) {
        var cpu = cpu()
        cpu.registers[.rcx] = selector
        #expect(cpu.complete([0x0F, 0x02, 0xC1]) == .completed)
        #expect(cpu.registers[.rax] == rights)
        #expect(cpu.registers.rflags.contains(.zero))
    }

    @Test(
        arguments: [
            (0x00, 0), (0x03, 0), (0x11, 0), (0x10, 3), (0x78, 0), (0x80, 0), (0x48, 0), (0x50, 0), (0x2C, 0),
        ] as [(UInt64, UInt8)]
    )
    func `lsl clears ZF for a selector that it must not see`(selector: UInt64, privilegeLevel: UInt8) {
        var cpu = cpu()
        cpu.currentPrivilegeLevel = privilegeLevel
        cpu.registers[.rax] = 77
        cpu.registers[.rcx] = selector
        cpu.registers.rflags.insert(.zero)
        #expect(cpu.complete([0x0F, 0x03, 0xC1]) == .completed)
        #expect(cpu.registers[.rax] == 77)
        #expect(cpu.registers.rflags == [.alwaysOne, .carry])
    }

    @Test(
        arguments: [
            (0x10, true, false), (0x18, true, true), (0x30, true, false), (0x38, false, false), (0x40, true, false),
            (0x48, false, false), (0x00, false, false),
        ] as [(UInt64, Bool, Bool)]
    )
    func `verr and verw tell what a segment permits`(selector: UInt64, isReadable: Bool, isWritable: Bool) {
        var cpu = cpu()
        cpu.registers[.rcx] = selector
        #expect(cpu.complete([0x0F, 0x00, 0xE1]) == .completed)
        #expect(cpu.registers.rflags.contains(.zero) == isReadable)
        #expect(cpu.complete([0x0F, 0x00, 0xE9]) == .completed)
        #expect(cpu.registers.rflags.contains(.zero) == isWritable)
    }

    @Test func `verw takes its selector from memory, and LSL takes one of the LDT`() {
        var cpu = cpu()
        cpu.registers[.rdi] = cpu.memoryStart + 0x800
        cpu.set(UInt16(0x18), at: cpu.memoryStart + 0x800)
        #expect(cpu.complete([0x0F, 0x00, 0x2F]) == .completed)
        #expect(cpu.registers.rflags.contains(.zero))
        cpu.localTable.limit = 0x37
        cpu.registers[.rcx] = 0x34
        #expect(cpu.complete([0x0F, 0x03, 0xC1]) == .completed)
        #expect(cpu.registers[.rax] == 0x123)
    }

    @Test func `the tests are invalid in real mode and fault when the table does`() {
        var cpu = cpu()
        cpu.registers[.rcx] = 0x18
        cpu.faults[cpu.memoryStart] = .notPresent
        let fault = CPUException(.pageFault, errorCode: 0, payload: cpu.memoryStart + 0x18)
        #expect(cpu.complete([0x0F, 0x00, 0xE9]) == .exception(fault))
        cpu.cr0.remove(.protectionEnable)
        #expect(cpu.complete([0x0F, 0x00, 0xE9]) == .exception(.invalidOpcode))
    }
}
