// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Interpreter

/// Every row of the table that user mode can execute, against the processor that runs the tests.
@Suite(.enabled(if: NativeCPU.canExecute, "needs an x86-64 processor and executable pages"))
struct DifferentialTests {
    /// Returns whether the processor has a feature; if not, the output names every instruction that is not compared.
    private func canExecute(_ feature: NativeCPU.Feature) -> Bool {
        if feature.isAvailable { return true }
        Issue.record("not compared: this processor lacks \(feature)", severity: .warning)
        return false
    }

    @Test(arguments: TableRow.comparable)
    func `an instruction does what the processor does`(row: TableRow) throws {
        guard canExecute(row.feature) else { return }
        let buffer = try #require(NativeCPU.Buffer(byteCount: 4096))
        defer { buffer.free() }
        var generator = SeededGenerator(seed: UInt64(row.entry.opcode) << 8 | UInt64(row.entry.map.rawValue))
        for _ in 0..<96 {
            let encoding = row.encoding(using: &generator)
            var emulated = randomCPU(for: encoding, buffer: buffer, using: &generator)
            var native = emulated
            let bytes = encoding.bytes
            try #require(NativeCPU.execute(bytes, on: &native, buffer: buffer))
            #expect(emulated.complete(bytes) == .completed, "\(bytes)")
            emulated.registers.rflags.subtract(row.undefinedFlags)
            native.registers.rflags.subtract(row.undefinedFlags)
            #expect(emulated == native, "\(bytes)")
            if emulated != native { break }
        }
    }

    private func randomCPU(
        for encoding: Encoding,
        buffer: NativeCPU.Buffer,
        using generator: inout SeededGenerator
    ) -> FakeCPU {
        var cpu = FakeCPU()
        cpu.memoryStart = buffer.address
        cpu.memory = [UInt8](repeating: 0, count: 4096)
        for offset in stride(from: 0, to: 256, by: 8) { cpu.memory.storeInteger(generator.interesting(), at: offset) }
        for register in GeneralRegister.allCases { cpu.registers[register] = generator.interesting() }
        for index in 0..<16 {
            cpu.floatingPoint.xmm[index] = Vector128(low: generator.interesting(), high: generator.interesting())
        }
        if encoding.isVEX {
            cpu.floatingPoint = FloatingPointState()
            cpu.addVectors { generator.interesting() }
        }
        let flags = RFlags(rawValue: generator.next()).intersection(.arithmetic)
        cpu.registers.rflags = flags.union([.alwaysOne, .interruptEnable])
        if let displacement = encoding.displacement {
            cpu.registers[GeneralRegister(encoding: encoding.rm)] = buffer.address
            // Let a compare-and-exchange succeed half the time.
            if generator.next() & 1 == 0 {
                let width = encoding.isWide ? 8 : 4
                let low = cpu.registers[.rax]
                cpu.memory.storeInteger(low, at: Int(displacement))
                cpu.memory.storeInteger(cpu.registers[.rdx], at: Int(displacement) + width)
            }
        }
        return cpu
    }

    @Test(arguments: [0, 1, -1, 6, -6, .max, .min] as [Int32])
    func `fild pushes the number that the processor pushes`(integer: Int32) throws {
        let buffer = try #require(NativeCPU.Buffer(byteCount: 4096))
        defer { buffer.free() }
        var emulated = FakeCPU()
        emulated.memoryStart = buffer.address
        emulated.memory = [UInt8](repeating: 0, count: 4096)
        emulated.memory.storeInteger(UInt32(bitPattern: integer), at: 0)
        emulated.registers.rflags = [.alwaysOne, .interruptEnable]
        emulated.registers[.rax] = buffer.address
        var native = emulated
        // fildl (%rax); fstpt 16(%rax)
        try #require(NativeCPU.execute([0xDB, 0x00, 0xDB, 0x78, 0x10], on: &native, buffer: buffer))
        #expect(emulated.complete([0xDB, 0x00]) == .completed)
        #expect(emulated.floatingPoint.stack[0].low == native.integer(at: buffer.address + 16))
        #expect(emulated.floatingPoint.stack[0].high == UInt64(native.integer(at: buffer.address + 24) as UInt16))
    }

    @Test(arguments: [0xF8, 0xFC] as [UInt8])
    func `vzeroupper and vzeroall clear what the processor clears`(prefix: UInt8) throws {
        guard canExecute(.avx) else { return }
        let buffer = try #require(NativeCPU.Buffer(byteCount: 4096))
        defer { buffer.free() }
        var generator = SeededGenerator(seed: 5)
        var emulated = FakeCPU()
        emulated.memory = [UInt8](repeating: 0, count: 4096)
        emulated.registers.rflags = [.alwaysOne, .interruptEnable]
        emulated.addVectors { generator.next() }
        var native = emulated
        try #require(NativeCPU.execute([0xC5, prefix, 0x77], on: &native, buffer: buffer))
        #expect(emulated.complete([0xC5, prefix, 0x77]) == .completed)
        #expect(emulated == native)
    }

    @Test(arguments: 0..<4 as Range<UInt8>)
    func `crc32 takes its byte from the second byte of a register`(index: UInt8) throws {
        guard canExecute(.sse42) else { return }
        let buffer = try #require(NativeCPU.Buffer(byteCount: 4096))
        defer { buffer.free() }
        var emulated = FakeCPU()
        emulated.memory = [UInt8](repeating: 0, count: 4096)
        emulated.registers.rflags = [.alwaysOne, .interruptEnable]
        for register in GeneralRegister.allCases { emulated.registers[register] = 0x0123_4567_89AB_CDEF }
        emulated.registers[GeneralRegister(encoding: index)] = 0x7654
        var native = emulated
        let bytes: [UInt8] = [0xF2, 0x0F, 0x38, 0xF0, 0xF4 + index]  // crc32 %ah, %esi and so on
        try #require(NativeCPU.execute(bytes, on: &native, buffer: buffer))
        #expect(emulated.complete(bytes) == .completed)
        #expect(emulated.registers == native.registers)
    }
}
