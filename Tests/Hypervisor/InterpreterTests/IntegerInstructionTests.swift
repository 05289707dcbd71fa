// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Interpreter

/// Tests of what the differential tests cannot show: faults, and results that are not a function of operands.
@Suite struct IntegerInstructionTests {
    @Test(
        arguments: [
            ([0xF3, 0x0F, 0xB8, 0xC1], 0xFFFF_FFFF_FFFF_FFFF, 32), ([0xF3, 0x48, 0x0F, 0xB8, 0xC1], .max, 64),
            ([0x66, 0xF3, 0x0F, 0xB8, 0xC1], .max, 0xABCD_EF01_2345_0010), ([0xF3, 0x0F, 0xB8, 0xC1], 1 << 40, 0),
        ] as [([UInt8], UInt64, UInt64)]
    )
    func `popcnt counts in its operand size and writes as that size does`(
        bytes: [UInt8],
        source: UInt64,
        expected: UInt64
    ) {
        var cpu = FakeCPU()
        cpu.registers[.rax] = 0xABCD_EF01_2345_6789
        cpu.registers[.rcx] = source
        cpu.registers.rflags = [.alwaysOne, .carry, .overflow, .sign, .parity, .auxiliaryCarry, .direction]
        #expect(cpu.complete(bytes) == .completed)
        #expect(cpu.registers[.rax] == expected)
        #expect(cpu.registers.rflags == (expected == 0 ? [.alwaysOne, .direction, .zero] : [.alwaysOne, .direction]))
    }

    @Test func `cmpxchg16b exchanges 16 bytes when they are as expected, with and without LOCK`() {
        var cpu = FakeCPU()
        cpu.set(UInt64(1), at: cpu.memoryStart + 16)
        cpu.set(UInt64(2), at: cpu.memoryStart + 24)
        cpu.registers[.rdi] = cpu.memoryStart + 16
        cpu.registers[.rax] = 1
        cpu.registers[.rdx] = 2
        cpu.registers[.rbx] = 3
        cpu.registers[.rcx] = 4
        #expect(cpu.complete([0xF0, 0x48, 0x0F, 0xC7, 0x0F]) == .completed)
        #expect(cpu.registers.rflags.contains(.zero))
        #expect(cpu.integer(at: cpu.memoryStart + 16) as UInt64 == 3)
        #expect(cpu.integer(at: cpu.memoryStart + 24) as UInt64 == 4)
        #expect(cpu.complete([0x48, 0x0F, 0xC7, 0x0F]) == .completed)
        #expect(!cpu.registers.rflags.contains(.zero))
        #expect(cpu.registers[.rax] == 3)
        #expect(cpu.registers[.rdx] == 4)
        #expect(cpu.integer(at: cpu.memoryStart + 16) as UInt64 == 3)
    }

    @Test func `cmpxchg16b demands alignment, cmpxchg8b does not`() {
        var cpu = FakeCPU()
        cpu.registers[.rdi] = cpu.memoryStart + 8
        let before = cpu
        #expect(cpu.complete([0xF0, 0x48, 0x0F, 0xC7, 0x0F]) == .exception(.generalProtection))
        #expect(cpu == before)
        cpu.registers[.rdi] = cpu.memoryStart + 3
        #expect(cpu.complete([0xF0, 0x0F, 0xC7, 0x0F]) == .completed)
    }

    @Test func `cmpxchg16b faults as a write, and changes nothing`() {
        var cpu = FakeCPU()
        cpu.registers[.rdi] = cpu.memoryStart
        cpu.registers[.rax] = 5
        cpu.readOnly = [cpu.memoryStart]
        let before = cpu
        let fault = CPUException(.pageFault, errorCode: 3, payload: cpu.memoryStart)
        #expect(cpu.complete([0xF0, 0x48, 0x0F, 0xC7, 0x0F]) == .exception(fault))
        #expect(cpu == before)
    }

    @Test(
        arguments: [
            ([0x48, 0x0F, 0xC7, 0xF0], 0xFEDC_BA98_7654_3210), ([0x0F, 0xC7, 0xF0], 0x7654_3210),
            ([0x66, 0x0F, 0xC7, 0xF0], 0x1111_1111_1111_3210), ([0x48, 0x0F, 0xC7, 0xF8], 0xFEDC_BA98_7654_3210),
        ] as [([UInt8], UInt64)]
    )
    func `rdrand and rdseed set CF and write a number`(bytes: [UInt8], expected: UInt64) {
        var cpu = FakeCPU()
        cpu.registers[.rax] = 0x1111_1111_1111_1111
        cpu.registers.rflags.insert([.zero, .overflow])
        #expect(cpu.complete(bytes) == .completed)
        #expect(cpu.registers[.rax] == expected)
        #expect(cpu.registers.rflags == [.alwaysOne, .carry])
    }

    @Test func `rdrand without a number clears CF and the register`() {
        var cpu = FakeCPU()
        cpu.random = nil
        cpu.registers[.rax] = 7
        cpu.registers.rflags.insert(.carry)
        #expect(cpu.complete([0x48, 0x0F, 0xC7, 0xF0]) == .completed)
        #expect(cpu.registers[.rax] == 0)
        #expect(cpu.registers.rflags == .alwaysOne)
    }

    @Test(arguments: [(0, SegmentRegister.fs), (1, .gs)] as [(UInt8, SegmentRegister)])
    func `rdfsbase and rdgsbase read 32 or 64 bits`(group: UInt8, segment: SegmentRegister) {
        var cpu = FakeCPU()
        cpu.bases[segment] = 0xFFFF_8880_1234_5678
        #expect(cpu.complete([0xF3, 0x48, 0x0F, 0xAE, 0xC1 | group << 3]) == .completed)
        #expect(cpu.registers[.rcx] == 0xFFFF_8880_1234_5678)
        #expect(cpu.complete([0xF3, 0x0F, 0xAE, 0xC1 | group << 3]) == .completed)
        #expect(cpu.registers[.rcx] == 0x1234_5678)
    }

    @Test(arguments: [(2, SegmentRegister.fs), (3, .gs)] as [(UInt8, SegmentRegister)])
    func `wrfsbase and wrgsbase write 32 or 64 bits, canonical ones only`(group: UInt8, segment: SegmentRegister) {
        var cpu = FakeCPU()
        let modRM = 0xC1 | group << 3
        cpu.registers[.rcx] = 0xFFFF_8880_1234_5678
        #expect(cpu.complete([0xF3, 0x48, 0x0F, 0xAE, modRM]) == .completed)
        #expect(cpu.bases[segment] == 0xFFFF_8880_1234_5678)
        #expect(cpu.complete([0xF3, 0x0F, 0xAE, modRM]) == .completed)
        #expect(cpu.bases[segment] == 0x1234_5678)
        cpu.registers[.rcx] = 0x8000_0000_0000_0000
        let before = cpu
        #expect(cpu.complete([0xF3, 0x48, 0x0F, 0xAE, modRM]) == .exception(.generalProtection))
        #expect(cpu == before)
    }

    @Test(arguments: 0..<4 as Range<UInt8>)
    func `the base instructions are invalid without CR4.FSGSBASE and outside 64-bit code`(group: UInt8) {
        let bytes: [UInt8] = [0xF3, 0x0F, 0xAE, 0xC1 | group << 3]
        var cpu = FakeCPU()
        cpu.codeSize = .bits32
        #expect(cpu.complete(bytes) == .exception(.invalidOpcode))
        cpu.codeSize = .bits64
        cpu.cr4.remove(.fsgsBase)
        #expect(cpu.complete(bytes) == .exception(.invalidOpcode))
    }

    @Test func `rdpid, rdtsc and rdtscp read the counter and the processor's number`() {
        var cpu = FakeCPU()
        cpu.registers[.rcx] = .max
        #expect(cpu.complete([0xF3, 0x0F, 0xC7, 0xF9]) == .completed)  // rdpid %rcx
        #expect(cpu.registers[.rcx] == 0x8000_0003)
        #expect(cpu.complete([0x0F, 0x31]) == .completed)
        #expect(cpu.registers[.rax] == 0x9ABC_DEF0)
        #expect(cpu.registers[.rdx] == 0x1234_5678)
        cpu.registers[.rcx] = .max
        #expect(cpu.complete([0x0F, 0x01, 0xF9]) == .completed)
        #expect(cpu.registers[.rcx] == 0x8000_0003)
        cpu.cr4.insert(.timeStampDisable)
        #expect(cpu.complete([0x0F, 0x31]) == .completed)
        cpu.currentPrivilegeLevel = 3
        #expect(cpu.complete([0x0F, 0x31]) == .exception(.generalProtection))
    }

    @Test func `rorx and vldmxcsr demand an unused VEX register`() {
        var cpu = FakeCPU()
        cpu.registers[.rax] = cpu.memoryStart
        #expect(cpu.complete([0xC4, 0xE3, 0x73, 0xF0, 0xC2, 7]) == .exception(.invalidOpcode))
        #expect(cpu.complete([0xC5, 0xF0, 0xAE, 0x10]) == .exception(.invalidOpcode))
        #expect(cpu.complete([0xC4, 0xE3, 0x7B, 0xF0, 0xC2, 7]) == .completed)
    }

    @Test func `VEX instructions are invalid in real mode`() {
        var cpu = FakeCPU()
        cpu.codeSize = .bits16
        cpu.cr0.remove(.protectionEnable)
        #expect(cpu.complete([0xC4, 0xE2, 0x70, 0xF2, 0xC2]) == .exception(.invalidOpcode))
        cpu.cr0.insert(.protectionEnable)
        #expect(cpu.complete([0xC4, 0xE2, 0x70, 0xF2, 0xC2]) == .completed)
    }
}
