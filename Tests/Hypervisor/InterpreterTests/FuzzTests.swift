// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Interpreter

/// Whatever the bytes are, there is an outcome, and what is not completed changes nothing.
@Suite struct FuzzTests {
    private static let tail: [UInt8] = [0x05, 0x80, 0x7F, 0xFF, 0xC1, 0x24, 0x11, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90]
    private static let prefixes: [[UInt8]] = [
        [], [0x66], [0x67], [0xF0], [0xF2], [0xF3], [0x64], [0x65], [0x2E], [0x36], [0x48], [0x4F], [0x40],
        [0x66, 0xF2], [0x66, 0xF3], [0xF2, 0xF3], [0xF3, 0x48], [0x66, 0x48], [0x66, 0xF3, 0x4D], [0xF0, 0x48],
    ]

    /// Executes bytes on a CPU that has XSAVE state; returns what is wrong with the outcome.
    private func execute(_ bytes: [UInt8], on cpu: FakeCPU) -> Bool {
        var after = cpu
        switch after.complete(bytes) {
        case .completed: return after.registers.rip != cpu.registers.rip
        case .exception(let exception) where exception.vector == .breakpoint || exception.vector == .debug:
            return after.registers.rip != cpu.registers.rip
        case .exception, .unsupported:
            return after.registers == cpu.registers && after.floatingPoint == cpu.floatingPoint
                && after.memory == cpu.memory
        }
    }

    private static let cpu: FakeCPU = {
        var cpu = FakeCPU()
        cpu.memory = [UInt8](repeating: 0, count: 1024)
        for register in GeneralRegister.allCases { cpu.registers[register] = cpu.memoryStart + 64 }
        cpu.extended = ExtendedState(area: [UInt8](repeating: 0, count: 576), xcr0: 3, components: [])
        return cpu
    }()

    @Test(arguments: [CodeSize.bits16, .bits32, .bits64], prefixes)
    func `every opcode of every map has an outcome`(codeSize: CodeSize, prefix: [UInt8]) {
        var cpu = Self.cpu
        cpu.codeSize = codeSize
        let maps: [[UInt8]] = [[], [0x0F], [0x0F, 0x38], [0x0F, 0x3A]]
        for map in maps {
            for opcode in UInt8.min...UInt8.max {
                let bytes = prefix + map + [opcode] + Self.tail
                #expect(execute(bytes, on: cpu), "\(bytes)")
            }
        }
    }

    @Test
    func `every ModRM byte after every two-byte opcode has an outcome`() {
        for opcode in UInt8.min...UInt8.max {
            for modRM in UInt8.min...UInt8.max {
                let bytes = [0x0F, opcode, modRM] + Self.tail
                #expect(execute(bytes, on: Self.cpu), "\(bytes)")
            }
        }
    }

    /// Every window of a sea of random bytes, a third of which are prefixes and escapes.
    @Test(arguments: 0..<4 as Range<UInt64>)
    func `random bytes decode or do not, within 15 bytes`(seed: UInt64) {
        let common: [16 of UInt8] = [
            0x66, 0x67, 0xF0, 0xF2, 0xF3, 0x64, 0x48, 0x0F, 0x0F, 0xC4, 0xC5, 0x38, 0x3A, 0xAE, 0xC7, 0x01,
        ]
        var generator = SeededGenerator(seed: seed)
        let sea = (0..<250_016).map { _ in
            let random = generator.next()
            return random % 3 == 0 ? common[Int(random >> 8 & 15)] : UInt8(truncatingIfNeeded: random >> 8)
        }
        var failures = 0
        for start in 0..<250_000 {
            let count = start & 15 + 1
            let codeSize: CodeSize = start % 5 == 0 ? .bits32 : start % 7 == 0 ? .bits16 : .bits64
            do throws(DecodeError) {
                let window = sea.span.extracting(start..<start + count)
                let length = try InstructionDecoder.decode(window, codeSize: codeSize).length
                if length < 1 || length > 15 || length > count { failures += 1 }
            } catch {
                if error == .truncated && count >= 15 { failures += 1 }
            }
        }
        #expect(failures == 0)
    }

    @Test(arguments: 0..<4 as Range<UInt64>)
    func `random bytes of instructions in the table have an outcome`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<20_000 {
            let entry = InstructionTable.entries.randomElement(using: &generator)
            guard let entry else { return }
            let encoding = TableRow(entry: entry).encoding(using: &generator)
            var bytes = encoding.bytes + Self.tail
            if generator.next() % 4 == 0 {
                bytes[Int(generator.next() % 6)] = UInt8(truncatingIfNeeded: generator.next())
            }
            #expect(execute(bytes, on: Self.cpu), "\(bytes)")
        }
    }
}
