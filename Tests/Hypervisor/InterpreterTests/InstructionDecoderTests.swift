// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Interpreter

@Suite struct InstructionDecoderTests {
    /// A register file in which every register has a value of its own.
    private static let registers: Registers = {
        var registers = Registers()
        for register in GeneralRegister.allCases {
            registers[register] = 0x1_0000_0000 * UInt64(register.rawValue + 1) + 0x100 * UInt64(register.rawValue)
        }
        return registers
    }()

    private func address(_ instruction: Instruction) throws -> UInt64 {
        try #require(instruction.memory).effectiveAddress(Self.registers, nextRIP: 0x5000)
    }

    @Test(
        arguments: [
            ([0x00], 3, 0x1_0000_0000),  // (%rax)
            ([0x40, 0xFE], 4, 0x0_FFFF_FFFE),  // -2(%rax)
            ([0x80, 0xFE, 0xFF, 0xFF, 0xFF], 7, 0x0_FFFF_FFFE),  // disp32
            ([0x05, 0x10, 0x00, 0x00, 0x00], 7, 0x5010),  // 16(%rip)
            ([0x05, 0xF0, 0xFF, 0xFF, 0xFF], 7, 0x4FF0),  // -16(%rip)
            ([0x04, 0x24], 4, 0x5_0000_0400),  // (%rsp)
            ([0x04, 0x20], 4, 0x1_0000_0000),  // (%rax), index 4 is none
            ([0x04, 0x88], 4, 0x1_0000_0000 + 4 * 0x2_0000_0100),  // (%rax,%rcx,4)
            ([0x44, 0xC8, 0x08], 5, 0x1_0000_0000 + 8 * 0x2_0000_0100 + 8),  // 8(%rax,%rcx,8)
            ([0x84, 0x48, 0, 1, 0, 0], 8, 0x1_0000_0000 + 2 * 0x2_0000_0100 + 0x100),  // 256(%rax,%rcx,2)
            ([0x04, 0x25, 0x00, 0x10, 0x00, 0x80], 8, 0xFFFF_FFFF_8000_1000),  // absolute, sign-extended
            ([0x04, 0x0D, 0x10, 0x00, 0x00, 0x00], 8, 0x2_0000_0110),  // 16(,%rcx,1)
            ([0x45, 0x08], 4, 0x6_0000_0508),  // 8(%rbp)
            ([0x44, 0x0D, 0x08], 5, 0x6_0000_0508 + 0x2_0000_0100),  // 8(%rbp,%rcx)
        ] as [([UInt8], Int, UInt64)]
    )
    func `64-bit addressing forms give the length and the address`(
        form: [UInt8],
        length: Int,
        expected: UInt64
    ) throws {
        let instruction = try decode([0x0F, 0xAE] + form)
        #expect(instruction.length == length)
        #expect(try address(instruction) == expected)
    }

    @Test(
        arguments: [
            ([0x41, 0x0F, 0xAE, 0x00], 0x9_0000_0800),  // (%r8)
            ([0x41, 0x0F, 0xAE, 0x04, 0x24], 0xD_0000_0C00),  // (%r12) needs SIB
            ([0x41, 0x0F, 0xAE, 0x45, 0x00], 0xE_0000_0D00),  // (%r13) needs a displacement
            ([0x41, 0x0F, 0xAE, 0x05, 0x10, 0, 0, 0], 0x5010),  // REX.B does not change RIP-relative
            ([0x42, 0x0F, 0xAE, 0x04, 0x20], 0x1_0000_0000 + 0xD_0000_0C00),  // (%rax,%r12)
            ([0x43, 0x0F, 0xAE, 0x44, 0x3D, 0x00], 0xE_0000_0D00 + 0x10_0000_0F00),  // (%r13,%r15)
            ([0x67, 0x0F, 0xAE, 0x04, 0x88], 4 * 0x100),  // (%eax,%ecx,4), truncated
            ([0x67, 0x0F, 0xAE, 0x05, 0x10, 0, 0, 0], 0x5010),  // 16(%eip)
        ] as [([UInt8], UInt64)]
    )
    func `REX and the address-size prefix change the address`(bytes: [UInt8], expected: UInt64) throws {
        let instruction = try decode(bytes)
        #expect(instruction.length == bytes.count)
        #expect(try address(instruction) == expected)
    }

    @Test(
        arguments: [
            ([0x00], 3, 0x300 + 0x600), ([0x01], 3, 0x300 + 0x700), ([0x02], 3, 0x500 + 0x600),
            ([0x03], 3, 0x500 + 0x700), ([0x04], 3, 0x600), ([0x05], 3, 0x700), ([0x06, 0x34, 0x12], 5, 0x1234),
            ([0x07], 3, 0x300), ([0x46, 0xFF], 4, 0x4FF), ([0x87, 0x34, 0x12], 5, 0x1234 + 0x300),
            ([0x87, 0x00, 0xFF], 5, 0x200),
        ] as [([UInt8], Int, UInt64)]
    )
    func `16-bit addressing forms give the length and the address`(
        form: [UInt8],
        length: Int,
        expected: UInt64
    ) throws {
        let instruction = try decode([0x0F, 0xAE] + form, .bits16)
        #expect(instruction.length == length)
        #expect(try address(instruction) == expected)
    }

    @Test func `32-bit code has absolute addresses where 64-bit code has RIP-relative ones`() throws {
        let instruction = try decode([0x0F, 0xAE, 0x05, 0x78, 0x56, 0x34, 0x12], .bits32)
        #expect(instruction.length == 7)
        #expect(try address(instruction) == 0x1234_5678)
    }

    @Test(
        arguments: [
            ([0x90], 1), ([0xC3], 1), ([0xB8, 1, 2, 3, 4], 5), ([0x66, 0xB8, 1, 2], 4),
            ([0x48, 0xB8, 1, 2, 3, 4, 5, 6, 7, 8], 10), ([0xC8, 1, 2, 3], 4), ([0xC2, 1, 2], 3),
            ([0xA0, 1, 2, 3, 4, 5, 6, 7, 8], 9), ([0x67, 0xA0, 1, 2, 3, 4], 6), ([0xE8, 1, 2, 3, 4], 5),
            ([0x66, 0xE8, 1, 2, 3, 4], 6), ([0xF6, 0xC0, 1], 3), ([0xF6, 0xD0], 2), ([0xF7, 0xC0, 1, 2, 3, 4], 6),
            ([0x66, 0xF7, 0xC0, 1, 2], 5), ([0xF7, 0xD8], 2), ([0x81, 0x05, 1, 2, 3, 4, 5, 6, 7, 8], 10),
            ([0x0F, 0x84, 1, 2, 3, 4], 6), ([0x0F, 0x20, 0x00], 3), ([0x0F, 0xBA, 0xE0, 1], 4),
            ([0x0F, 0x38, 0x00, 0x00], 4), ([0x66, 0x0F, 0x3A, 0x0F, 0xC1, 4], 6),
            ([0xC5, 0xF8, 0xAE, 0x10], 4), ([0xC4, 0xE2, 0x70, 0xF2, 0xC2], 5),
            ([0xC4, 0xE3, 0x7B, 0xF0, 0xC2, 7], 6),
        ] as [([UInt8], Int)]
    )
    func `the length includes immediates and displacements`(bytes: [UInt8], length: Int) throws {
        #expect(try decode(bytes + [0xCC, 0xCC]).length == length)
        for count in 0..<length {
            #expect(throws: DecodeError.truncated) { try decode(Array(bytes.prefix(count))) }
        }
    }

    @Test func `15 bytes are an instruction and 16 are not`() throws {
        let prefixes = [UInt8](repeating: 0x66, count: 13)
        #expect(try decode(prefixes + [0x0F, 0x0B]).length == 15)
        #expect(throws: DecodeError.tooLong) { try decode([0x66] + prefixes + [0x0F, 0x0B]) }
        #expect(throws: DecodeError.tooLong) { try decode([UInt8](repeating: 0xF3, count: 20)) }
    }

    @Test(
        arguments: [
            ([0x0F, 0xB8, 0xC0], .none), ([0x66, 0x0F, 0xB8, 0xC0], .p66), ([0xF3, 0x0F, 0xB8, 0xC0], .pF3),
            ([0xF2, 0x0F, 0xB8, 0xC0], .pF2), ([0xF3, 0x66, 0x0F, 0xB8, 0xC0], .pF3),
            ([0xF3, 0xF2, 0x0F, 0xB8, 0xC0], .pF2), ([0xF2, 0xF3, 0x0F, 0xB8, 0xC0], .pF3),
        ] as [([UInt8], MandatoryPrefix)]
    )
    func `the last of f2 and f3 selects, and 66 only without them`(
        bytes: [UInt8],
        prefix: MandatoryPrefix
    ) throws {
        #expect(try decode(bytes).mandatoryPrefix == prefix)
    }

    @Test func `segment overrides count for FS and GS only in 64-bit code`() throws {
        #expect(try decode([0x65, 0x0F, 0xAE, 0x00]).memory?.segment == .gs)
        #expect(try decode([0x64, 0x2E, 0x0F, 0xAE, 0x00]).memory?.segment == .fs)
        #expect(try decode([0x2E, 0x0F, 0xAE, 0x00]).memory?.segment == .ds)
        #expect(try decode([0x2E, 0x0F, 0xAE, 0x00], .bits32).memory?.segment == .cs)
        #expect(try decode([0x0F, 0xAE, 0x45, 0x00]).memory?.segment == .ss)
        #expect(try decode([0x0F, 0xAE, 0x04, 0x24]).memory?.segment == .ss)
        #expect(try decode([0x41, 0x0F, 0xAE, 0x45, 0x00]).memory?.segment == .ds)
    }

    @Test func `VEX fields are taken apart`() throws {
        let instruction = try decode([0xC4, 0x42, 0xA3, 0xF7, 0xD1])  // shrx %r11, %r9, %r10
        #expect(instruction.map == .map0F38)
        #expect(instruction.opcode == 0xF7)
        #expect(instruction.mandatoryPrefix == .pF2)
        #expect(instruction.isWide)
        #expect(!instruction.isVector256)
        #expect(instruction.vexRegister == 11)
        #expect(instruction.modRM == ModRM(mod: 3, reg: 10, rm: 9))
    }

    @Test(arguments: [[0x66], [0xF0], [0xF2], [0xF3], [0x48]] as [[UInt8]])
    func `VEX after a prefix that it replaces is invalid`(prefix: [UInt8]) {
        #expect(throws: DecodeError.invalidOpcode) { try decode(prefix + [0xC5, 0xF8, 0xAE, 0x10]) }
    }

    @Test func `VEX opcodes are other instructions in 32-bit code when ModRM has memory`() throws {
        #expect(try decode([0xC5, 0x00], .bits32).map == .primary)
        #expect(try decode([0xC5, 0xF8, 0xAE, 0x10], .bits32).map == .map0F)
    }

    @Test(
        arguments: [
            [0x62, 0xF1, 0x7C, 0x48, 0x10, 0x00], [0x8F, 0xE9, 0x78, 0x81, 0xC0], [0x0F, 0x0F, 0xC0, 0xB4],
            [0x48, 0x66, 0x90], [0x48, 0x48, 0x90],
        ] as [[UInt8]]
    )
    func `EVEX, XOP, 3DNow! and prefixes after REX are not supported`(bytes: [UInt8]) {
        #expect(throws: DecodeError.unsupportedEncoding) { try decode(bytes) }
    }

    @Test(arguments: [0x06, 0x27, 0x60, 0x82, 0x9A, 0xCE, 0xD4, 0xD6, 0xEA] as [UInt8])
    func `opcodes that 64-bit mode gave up are invalid`(opcode: UInt8) {
        #expect(throws: DecodeError.invalidOpcode) { try decode([opcode, 0xC0, 0, 0, 0, 0, 0, 0, 0]) }
    }
}
