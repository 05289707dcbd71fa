// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Interpreter

@Suite struct VEXInstructionTests {
    private static let load: [UInt8] = [0xC5, 0xFA, 0x6F, 0x07]  // vmovdqu (%rdi), %xmm0

    private func cpu() -> FakeCPU {
        var cpu = FakeCPU()
        var value: UInt64 = 0
        cpu.addVectors {
            value += 1
            return value
        }
        cpu.registers[.rdi] = 0x10_0001
        cpu.set(0x1111_2222_3333_4444 as UInt64, at: 0x10_0001)
        return cpu
    }

    private func halves(_ register: Int, of cpu: FakeCPU) -> [UInt64] {
        let area = cpu.extended?.area ?? []
        return [160, 168, 576, 584].map { unsafe area.span.bytes.integer(at: $0 + 16 * register) }
    }

    @Test func `a 128-bit result clears the upper half`() {
        var cpu = cpu()
        #expect(cpu.complete(Self.load) == .completed)
        #expect(halves(0, of: cpu) == [0x1111_2222_3333_4444, 0, 0, 0])
        #expect(halves(1, of: cpu) == [3, 4, 35, 36])
    }

    @Test func `components in their initial configuration count as zero and come into use`() {
        var cpu = cpu()
        cpu.extended?.inUse = 0
        #expect(cpu.complete([0xC5, 0xFD, 0xEF, 0xC9]) == .completed)  // vpxor %ymm1, %ymm0, %ymm1
        #expect(halves(1, of: cpu) == [0, 0, 0, 0])
        #expect(halves(2, of: cpu) == [0, 0, 0, 0])
        #expect(cpu.extended?.inUse == 0b110)
    }

    @Test func `without AVX state nothing is executed`() {
        let cases: [(Outcome, (inout FakeCPU) -> Void)] = [
            (.exception(.invalidOpcode), { $0.cr4.remove(.osXSAVE) }),
            (.exception(.invalidOpcode), { $0.extended?.xcr0 = 0b11 }),
            (.exception(.deviceNotAvailable), { $0.cr0.insert(.taskSwitched) }),
            (.unsupported(.noExtendedState), { $0.extended = nil }),
        ]
        for (outcome, change) in cases {
            var cpu = cpu()
            change(&cpu)
            let before = cpu
            #expect(cpu.complete(Self.load) == outcome)
            #expect(cpu == before)
        }
    }

    @Test func `only the aligned moves want alignment, of the vector's length`() {
        for code in [[0xC5, 0xFD, 0x6F, 0x07], [0xC5, 0xFD, 0x7F, 0x07], [0xC5, 0xFC, 0x28, 0x07]] as [[UInt8]] {
            var cpu = cpu()
            cpu.registers[.rdi] = 0x10_0010
            #expect(cpu.complete(code) == .exception(.generalProtection))
            cpu.registers[.rdi] = 0x10_0020
            #expect(cpu.complete(code) == .completed)
        }
        var cpu = cpu()
        #expect(cpu.complete([0xC5, 0xFD, 0xEF, 0x07]) == .completed)  // vpxor (%rdi), %ymm0, %ymm0
    }

    @Test func `a store over two pages writes all or nothing`() {
        var cpu = cpu()
        cpu.registers[.rdi] = 0x10_0FF0
        cpu.readOnly = [0x10_1000]
        let before = cpu.memory
        guard case .exception(let exception) = cpu.complete([0xC5, 0xFE, 0x7F, 0x07]) else {  // vmovdqu %ymm0, (%rdi)
            Issue.record("no fault")
            return
        }
        #expect(exception.vector == .pageFault)
        #expect(cpu.memory == before)
    }
}
