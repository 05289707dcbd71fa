// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Interpreter

/// Control instructions, prefixes and the rules that hold for every instruction.
@Suite struct InstructionEmulatorTests {
    @Test(arguments: [([0xCC], 1), ([0x66, 0xCC], 2)] as [([UInt8], UInt64)])
    func `int3 raises BP with RIP after it`(bytes: [UInt8], length: UInt64) {
        var cpu = FakeCPU()
        #expect(cpu.complete(bytes) == .exception(CPUException(.breakpoint)))
        #expect(cpu.registers == Registers(rip: 0x1000 + length))
    }

    @Test func `int1 raises DB with RIP after it`() {
        var cpu = FakeCPU()
        #expect(cpu.complete([0xF1]) == .exception(CPUException(.debug)))
        #expect(cpu.registers.rip == 0x1001)
    }

    @Test func `clac and stac change AC alone`() {
        var cpu = FakeCPU()
        cpu.registers.rflags = [.alwaysOne, .carry, .interruptEnable]
        let before = cpu.registers.rflags
        #expect(cpu.complete([0x0F, 0x01, 0xCB]) == .completed)
        #expect(cpu.registers.rflags == before.union(.alignmentCheck))
        #expect(cpu.complete([0x0F, 0x01, 0xCA]) == .completed)
        #expect(cpu.registers.rflags == before)
        #expect(cpu.registers.rip == 0x1006)
    }

    @Test(arguments: [0xCA, 0xCB] as [UInt8])
    func `clac and stac are invalid in user mode`(opcode: UInt8) {
        var cpu = FakeCPU()
        cpu.currentPrivilegeLevel = 3
        let before = cpu
        #expect(cpu.complete([0x0F, 0x01, opcode]) == .exception(.invalidOpcode))
        #expect(cpu == before)
    }

    @Test(
        arguments: [
            [0xF3, 0x90], [0x0F, 0x18, 0x08], [0x0F, 0x0D, 0x08], [0x0F, 0x1F, 0x44, 0x00, 0x00],
            [0x66, 0x2E, 0x0F, 0x1F, 0x84, 0x00, 0, 0, 0, 0], [0xF3, 0x0F, 0x1E, 0xFA], [0xF3, 0x0F, 0x1E, 0xFB],
            [0x0F, 0xAE, 0xE8], [0x0F, 0xAE, 0xF0], [0x0F, 0xAE, 0xF8], [0x0F, 0x01, 0xE8],
        ] as [[UInt8]]
    )
    func `hints and fences change RIP alone`(bytes: [UInt8]) {
        var cpu = FakeCPU()
        cpu.registers[.rax] = 0xDEAD_0000_0000_0000  // not canonical, and not accessed
        var expected = cpu
        expected.registers.rip += UInt64(bytes.count)
        #expect(cpu.complete(bytes) == .completed)
        #expect(cpu == expected)
    }

    @Test(arguments: [[0x0F, 0x0B], [0x0F, 0xB9, 0xC0], [0x0F, 0xFF, 0xC0], [0x06]] as [[UInt8]])
    func `undefined instructions raise UD`(bytes: [UInt8]) {
        var cpu = FakeCPU()
        let before = cpu
        #expect(cpu.complete(bytes) == .exception(.invalidOpcode))
        #expect(cpu == before)
    }

    @Test(arguments: [[0x0F, 0xAE, 0x38], [0x66, 0x0F, 0xAE, 0x38], [0x66, 0x0F, 0xAE, 0x30]] as [[UInt8]])
    func `cache line flushes check their address`(bytes: [UInt8]) {
        var cpu = FakeCPU()
        cpu.registers[.rax] = cpu.memoryStart + 3
        #expect(cpu.complete(bytes) == .completed)
        cpu.registers[.rax] = 0x5000
        let fault = CPUException(.pageFault, errorCode: 0, payload: 0x5000)
        #expect(cpu.complete(bytes) == .exception(fault))
        cpu.faults[0x5000] = .notMemory
        #expect(cpu.complete(bytes) == .completed)
    }

    @Test(
        arguments: [
            [0xCC], [0x9B], [0x0F, 0x01, 0xCA], [0xF3, 0x0F, 0xB8, 0xC1], [0x0F, 0xAE, 0xE8], [0x0F, 0x18, 0x08],
            [0x66, 0x0F, 0xEF, 0xC1], [0x48, 0x0F, 0xC7, 0xF0], [0x0F, 0xAE, 0x10], [0xF3, 0x90],
        ] as [[UInt8]]
    )
    func `LOCK is invalid where nothing is locked`(bytes: [UInt8]) {
        var cpu = FakeCPU()
        cpu.registers[.rax] = cpu.memoryStart
        let before = cpu
        #expect(cpu.complete([0xF0] + bytes) == .exception(.invalidOpcode))
        #expect(cpu == before)
    }

    @Test func `instructions that are not in the table are given back with their length`() {
        var cpu = FakeCPU()
        let before = cpu
        #expect(cpu.complete([0x48, 0x89, 0xC8]) == .unsupported(.instruction(length: 3)))
        #expect(cpu.complete([0x0F]) == .unsupported(.truncated))
        #expect(cpu.complete([]) == .unsupported(.truncated))
        #expect(cpu.complete([0x62, 0xF1, 0x7C, 0x48, 0x10, 0x00]) == .unsupported(.encoding))
        #expect(cpu.complete([UInt8](repeating: 0x66, count: 15)) == .exception(.generalProtection))
        #expect(cpu == before)
    }

    @Test func `an instruction with TF set traps after it`() {
        var cpu = FakeCPU()
        cpu.registers.rflags.insert(.trap)
        let exception = CPUException(.debug, payload: 0x4000)
        #expect(cpu.complete([0xF3, 0x0F, 0xB8, 0xC1]) == .exception(exception))
        #expect(cpu.registers.rip == 0x1004)
    }

    @Test func `an instruction clears RF`() {
        var cpu = FakeCPU()
        cpu.registers.rflags.insert(.resume)
        #expect(cpu.complete([0x0F, 0x01, 0xCA]) == .completed)
        #expect(!cpu.registers.rflags.contains(.resume))
    }

    @Test(arguments: [(.bits16, 0x0002), (.bits32, 0x1_0002), (.bits64, 0x1_0000_0002)] as [(CodeSize, UInt64)])
    func `RIP wraps at the size of the code segment`(codeSize: CodeSize, expected: UInt64) {
        var cpu = FakeCPU()
        cpu.codeSize = codeSize
        cpu.registers.rip = codeSize == .bits64 ? 0xFFFF_FFFF : 0xFFFF
        #expect(cpu.complete([0x0F, 0x01, 0xCA]) == .completed)
        #expect(cpu.registers.rip == expected)
    }

    // MARK: - Memory

    @Test func `a page fault carries the address and the error code, and changes nothing`() {
        var cpu = FakeCPU()
        cpu.currentPrivilegeLevel = 3
        cpu.registers[.rax] = cpu.memoryStart + 0xFFC
        cpu.faults[cpu.memoryStart + 0x1000] = .protection
        let before = cpu
        let read = CPUException(.pageFault, errorCode: 5, payload: cpu.memoryStart + 0x1000)
        #expect(cpu.complete([0xF3, 0x48, 0x0F, 0xB8, 0x08]) == .exception(read))  // popcnt (%rax), %rcx
        let write = CPUException(.pageFault, errorCode: 7, payload: cpu.memoryStart + 0x1000)
        #expect(cpu.complete([0x48, 0x0F, 0x38, 0xF1, 0x08]) == .exception(write))  // movbe %rcx, (%rax)
        #expect(cpu == before)
        cpu.currentPrivilegeLevel = 0
        cpu.faults = [cpu.memoryStart: .reservedBit]
        let reserved = CPUException(.pageFault, errorCode: 9, payload: cpu.memoryStart + 0xFFC)
        #expect(cpu.complete([0xF3, 0x48, 0x0F, 0xB8, 0x08]) == .exception(reserved))
    }

    @Test func `an operand outside RAM is given back`() {
        var cpu = FakeCPU()
        cpu.registers[.rax] = cpu.memoryStart + 0x1000
        cpu.faults[cpu.memoryStart + 0x1000] = .notMemory
        let before = cpu
        let outcome = cpu.complete([0xF3, 0x48, 0x0F, 0xB8, 0x08])
        #expect(outcome == .unsupported(.operandOutsideMemory(cpu.memoryStart + 0x1000)))
        #expect(cpu == before)
    }

    @Test(
        arguments: [
            (0x0000_8000_0000_0000, false), (0x0000_7FFF_FFFF_FFF9, false), (0xFFFF_7FFF_FFFF_FFFF, false),
            (0x0000_8000_0000_0000, true),
        ] as [(UInt64, Bool)]
    )
    func `an address that is not canonical raises GP, or SS for the stack segment`(address: UInt64, isStack: Bool) {
        var cpu = FakeCPU()
        cpu.registers[isStack ? .rsp : .rax] = address
        let before = cpu
        let bytes: [UInt8] = isStack ? [0xF3, 0x48, 0x0F, 0xB8, 0x0C, 0x24] : [0xF3, 0x48, 0x0F, 0xB8, 0x08]
        #expect(cpu.complete(bytes) == .exception(isStack ? .stackFault : .generalProtection))
        #expect(cpu == before)
    }

    @Test func `57-bit addresses are canonical when CR4 says so`() {
        var cpu = FakeCPU()
        cpu.memoryStart = 0x0080_0000_0000_0000
        cpu.registers[.rax] = cpu.memoryStart
        cpu.set(UInt64(0xFF), at: cpu.memoryStart)
        #expect(cpu.complete([0xF3, 0x48, 0x0F, 0xB8, 0x08]) == .exception(.generalProtection))
        cpu.cr4.insert(.linearAddress57)
        #expect(cpu.complete([0xF3, 0x48, 0x0F, 0xB8, 0x08]) == .completed)
        #expect(cpu.registers[.rcx] == 8)
    }

    @Test func `segment bases count for GS in 64-bit code and for all segments in 32-bit code`() {
        var cpu = FakeCPU()
        cpu.bases = [.gs: cpu.memoryStart, .ds: 0x40, .ss: cpu.memoryStart]
        cpu.set(UInt32(0xF), at: cpu.memoryStart + 0x20)
        cpu.registers[.rcx] = 0x20
        #expect(cpu.complete([0x65, 0xF3, 0x0F, 0xB8, 0x11]) == .completed)  // popcnt %gs:(%rcx), %edx
        #expect(cpu.registers[.rdx] == 4)
        cpu.codeSize = .bits32
        cpu.registers[.rbp] = 0x20
        #expect(cpu.complete([0xF3, 0x0F, 0xB8, 0x5D, 0x00]) == .completed)  // popcnt (%ebp), %ebx
        #expect(cpu.registers[.rbx] == 4)
        cpu.registers[.rcx] = cpu.memoryStart - 0x20
        #expect(cpu.complete([0xF3, 0x0F, 0xB8, 0x31]) == .completed)  // popcnt (%ecx), %esi
        #expect(cpu.registers[.rsi] == 4)
    }

    @Test func `a RIP-relative operand counts from the next instruction`() {
        var cpu = FakeCPU()
        cpu.registers.rip = cpu.memoryStart
        cpu.set(UInt64(7), at: cpu.memoryStart + 9 + 0x100)
        let bytes: [UInt8] = [0xF3, 0x48, 0x0F, 0xB8, 0x0D, 0x00, 0x01, 0x00, 0x00]
        #expect(cpu.complete(bytes) == .completed)
        #expect(cpu.registers[.rcx] == 3)
    }
}
