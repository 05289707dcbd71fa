// SPDX-License-Identifier: Apache-2.0

import Interpreter
import TestSupport

/// The input is an instruction, after a byte for the mode and the prefix of a processor's state.
enum DecoderFuzzTarget {
    static func run(_ input: inout FuzzInput) {
        let mode = input.byte()
        var cpu = FakeCPU()
        cpu.memory = [UInt8](repeating: 0x5a, count: 4096)
        cpu.globalTable.limit = 0xff
        cpu.codeSize = [.bits64, .bits32, .bits16, .bits64][Int(mode & 3)]
        if mode & 4 != 0 { cpu.cr0 = [] }
        if mode & 8 != 0 { cpu.cr4 = [] }
        if mode & 0x10 != 0 { cpu.currentPrivilegeLevel = 3 }
        if mode & 0x20 != 0 { cpu.registers.rflags.insert(.trap) }
        if mode & 0x40 != 0 {
            cpu.extended = ExtendedState(area: [UInt8](repeating: 0, count: 576), xcr0: 3, components: [])
        }
        // Some registers point to memory, and some anywhere.
        let registers = GeneralRegister.allCases
        for register in registers { cpu.registers[register] = cpu.memoryStart + 64 }
        if mode & 0x80 != 0 {
            for register in registers.prefix(8) { cpu.registers[register] = input.integer(UInt64.self) }
        }
        let code = input.rest
        let before = cpu
        let outcome = InstructionEmulator.complete(code.span, on: &cpu)
        if case .unsupported = outcome { precondition(cpu == before, "what is not completed changes nothing") }
        guard let instruction = try? InstructionDecoder.decode(code.span, codeSize: cpu.codeSize) else { return }
        precondition((1...15).contains(instruction.length) && instruction.length <= code.count)
    }
}
