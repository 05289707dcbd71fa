// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Interpreter

@Suite struct FloatingPointInstructionTests {
    private func cpu() -> FakeCPU {
        var cpu = FakeCPU()
        cpu.registers[.rax] = cpu.memoryStart
        return cpu
    }

    @Test func `fwait does nothing unless an x87 exception is pending`() {
        var cpu = cpu()
        #expect(cpu.complete([0x9B]) == .completed)
        #expect(cpu.registers.rip == 0x1001)
        cpu.floatingPoint.statusWord = 0x80
        #expect(cpu.complete([0x9B]) == .exception(CPUException(.floatingPointError)))
        #expect(cpu.registers.rip == 0x1001)
        cpu.cr0.remove(.numericError)
        #expect(cpu.complete([0x9B]) == .completed)
    }

    @Test func `fwait raises NM when TS and MP are set`() {
        var cpu = cpu()
        cpu.cr0 = [.protectionEnable, .taskSwitched, .monitorCoprocessor]
        #expect(cpu.complete([0x9B]) == .exception(.deviceNotAvailable))
        cpu.cr0.remove(.monitorCoprocessor)
        #expect(cpu.complete([0x9B]) == .completed)
    }

    @Test func `fnclex clears the exceptions in the status word`() {
        var cpu = cpu()
        cpu.floatingPoint.statusWord = 0xB8FF
        #expect(cpu.complete([0xDB, 0xE2]) == .completed)
        #expect(cpu.floatingPoint.statusWord == 0x3800)
    }

    @Test func `fnstsw copies the status word to AX`() {
        var cpu = cpu()
        cpu.registers[.rax] = 0x1111_2222_3333_4444
        cpu.floatingPoint.statusWord = 0x3801
        #expect(cpu.complete([0xDF, 0xE0]) == .completed)
        #expect(cpu.registers[.rax] == 0x1111_2222_3333_3801)
    }

    @Test func `fldcw loads the control word and finds exceptions that it unmasks`() {
        var cpu = cpu()
        cpu.set(UInt16(0xF37B), at: cpu.memoryStart)  // everything masked but zero-divide
        #expect(cpu.complete([0xD9, 0x28]) == .completed)
        #expect(cpu.floatingPoint.controlWord == 0x137B)
        #expect(cpu.floatingPoint.statusWord == 0)
        cpu.floatingPoint.statusWord = 0x04
        #expect(cpu.complete([0xD9, 0x28]) == .completed)
        #expect(cpu.floatingPoint.statusWord == 0x8084)
        #expect(cpu.complete([0xD9, 0x28]) == .exception(CPUException(.floatingPointError)))
    }

    @Test func `fild pushes an integer and says where it was`() {
        var cpu = cpu()
        cpu.set(UInt32(bitPattern: -6), at: cpu.memoryStart)
        #expect(cpu.complete([0xDB, 0x00]) == .completed)
        #expect(cpu.floatingPoint.stack[0] == Vector128(low: 0xC000_0000_0000_0000, high: 0xC001))
        #expect(cpu.floatingPoint.statusWord == 0x3800)
        #expect(cpu.floatingPoint.abridgedTagWord == 0x80)
        #expect(cpu.floatingPoint.lastOpcode == 0x300)
        #expect(cpu.floatingPoint.lastInstructionPointer == 0x1000)
        #expect(cpu.floatingPoint.lastDataPointer == cpu.memoryStart)
    }

    @Test func `fild onto a full stack keeps it where the exception is not masked`() {
        var cpu = cpu()
        cpu.floatingPoint.abridgedTagWord = 0xFF
        cpu.floatingPoint.controlWord = 0x037E
        #expect(cpu.complete([0xDB, 0x00]) == .completed)
        #expect(cpu.floatingPoint.statusWord == 0x82C1)
        #expect(cpu.complete([0xDB, 0x00]) == .exception(CPUException(.floatingPointError)))
    }

    @Test func `emms marks every x87 register as empty`() {
        var cpu = cpu()
        cpu.floatingPoint.abridgedTagWord = 0xFF
        #expect(cpu.complete([0x0F, 0x77]) == .completed)
        #expect(cpu.floatingPoint.abridgedTagWord == 0)
        cpu.cr0.insert(.emulation)
        #expect(cpu.complete([0x0F, 0x77]) == .exception(.invalidOpcode))
    }

    @Test(arguments: [[0x0F, 0xAE], [0xC5, 0xF8, 0xAE]] as [[UInt8]])
    func `ldmxcsr and stmxcsr move MXCSR`(opcode: [UInt8]) {
        var cpu = cpu()
        cpu.set(UInt32(0x9FC0), at: cpu.memoryStart)
        #expect(cpu.complete(opcode + [0x10]) == .completed)
        #expect(cpu.floatingPoint.mxcsr == 0x9FC0)
        #expect(cpu.complete(opcode + [0x58, 0x04]) == .completed)
        #expect(cpu.integer(at: cpu.memoryStart + 4) as UInt32 == 0x9FC0)
    }

    @Test func `ldmxcsr raises GP for bits that do not exist`() {
        var cpu = cpu()
        cpu.set(UInt32(0x1_1F80), at: cpu.memoryStart)
        let before = cpu
        #expect(cpu.complete([0x0F, 0xAE, 0x10]) == .exception(.generalProtection))
        #expect(cpu == before)
        cpu.floatingPoint.mxcsrMask = 0
        cpu.set(UInt32(0x40), at: cpu.memoryStart)
        #expect(cpu.complete([0x0F, 0xAE, 0x10]) == .exception(.generalProtection))
    }

    @Test(
        arguments: [
            [0x0F, 0xAE, 0x10], [0x0F, 0xAE, 0x18], [0x66, 0x0F, 0xEF, 0xC0], [0x0F, 0x28, 0x00],
            [0x66, 0x0F, 0x7F, 0x00], [0x66, 0x0F, 0x6E, 0xC0], [0x66, 0x0F, 0x7E, 0xC0], [0x66, 0x0F, 0xD7, 0xC0],
            [0x66, 0x0F, 0x71, 0xD0, 1],
            [0x66, 0x0F, 0x38, 0x17, 0xC0],
        ] as [[UInt8]]
    )
    func `SSE instructions obey CR0 and CR4`(bytes: [UInt8]) {
        var cpu = cpu()
        cpu.cr0.insert(.taskSwitched)
        #expect(cpu.complete(bytes) == .exception(.deviceNotAvailable))
        cpu.cr0.insert(.emulation)
        #expect(cpu.complete(bytes) == .exception(.invalidOpcode))
        cpu.cr0 = [.protectionEnable]
        cpu.cr4.remove(.osFXSR)
        #expect(cpu.complete(bytes) == .exception(.invalidOpcode))
        cpu.cr4.insert(.osFXSR)
        #expect(cpu.complete(bytes) == .completed)
    }

    @Test(
        arguments: [
            [0x66, 0x0F, 0xEF, 0x40, 8], [0x0F, 0x28, 0x40, 8], [0x66, 0x0F, 0x6F, 0x40, 8],
            [0x66, 0x0F, 0x7F, 0x40, 8], [0x66, 0x0F, 0xE7, 0x40, 8], [0x66, 0x0F, 0x38, 0x00, 0x40, 8],
        ] as [[UInt8]]
    )
    func `operands that must be aligned raise GP when they are not`(bytes: [UInt8]) {
        var cpu = cpu()
        let before = cpu
        #expect(cpu.complete(bytes) == .exception(.generalProtection))
        #expect(cpu == before)
    }

    @Test(
        arguments: [
            [0x0F, 0x10, 0x40, 1], [0xF3, 0x0F, 0x6F, 0x40, 1], [0xF3, 0x0F, 0x7F, 0x40, 1],
            [0x66, 0x0F, 0x38, 0x20, 0x40, 1], [0xF3, 0x0F, 0x7E, 0x40, 1],
        ] as [[UInt8]]
    )
    func `operands that may be unaligned are`(bytes: [UInt8]) {
        var cpu = cpu()
        #expect(cpu.complete(bytes) == .completed)
    }

    @Test func `a vector store that faults changes nothing`() {
        var cpu = cpu()
        cpu.floatingPoint.xmm[0] = Vector128(low: 1, high: 2)
        cpu.registers[.rax] = cpu.memoryStart + 0xFF8
        cpu.readOnly = [cpu.memoryStart + 0x1000]
        let before = cpu
        let fault = CPUException(.pageFault, errorCode: 3, payload: cpu.memoryStart + 0x1000)
        #expect(cpu.complete([0xF3, 0x0F, 0x7F, 0x00]) == .exception(fault))
        #expect(cpu == before)
    }

    @Test func `a legacy region is read as it was stored`() {
        var state = FloatingPointState()
        state.controlWord = 0x27F
        state.statusWord = 0x3800
        state.abridgedTagWord = 0x81
        state.lastOpcode = 0x123
        state.lastInstructionPointer = 0x1122_3344_5566_7788
        state.lastDataPointer = 0x99AA_BBCC_DDEE_FF00
        state.mxcsr = 0x1FA0
        state.mxcsrMask = 0x2FFFF
        for index in 0..<8 { state.stack[index] = Vector128(low: UInt64(index) << 60, high: UInt64(index)) }
        for index in 0..<16 { state.xmm[index] = Vector128(low: UInt64(index), high: UInt64(index) << 56) }
        var region = [UInt8](repeating: 0xEE, count: 512)
        do {
            var span = region.mutableSpan
            var bytes = unsafe span.mutableBytes
            state.store(intoLegacyRegion: &bytes)
        }
        #expect(unsafe FloatingPointState(legacyRegion: region.span.bytes) == state)
        #expect(region[416...].allSatisfy { $0 == 0xEE })
        #expect(region[160 + 16 * 5] == 5)
    }
}
