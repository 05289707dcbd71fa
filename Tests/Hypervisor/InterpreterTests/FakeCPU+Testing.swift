// SPDX-License-Identifier: Apache-2.0

@testable import Interpreter
import TestSupport

extension FakeCPU {
    /// The offset of YMM's upper halves in the XSAVE area of `withVectors`.
    static let upperHalvesOffset = 576

    /// Gives the CPU AVX state, all of it in use: pairs of quadwords from `next`.
    mutating func addVectors(_ next: () -> UInt64) {
        var area = [UInt8](repeating: 0, count: Self.upperHalvesOffset + 256)
        area.storeInteger(0x1F80 as UInt32, at: 24)
        area.storeInteger(0b111 as UInt64, at: 512)
        for offset in Array(stride(from: 160, to: 416, by: 8)) + stride(from: 576, to: 832, by: 8) {
            area.storeInteger(next(), at: offset)
        }
        let upperHalves = ExtendedState.Component(
            index: 2,
            standardOffset: Self.upperHalvesOffset,
            byteCount: 256,
            isAligned: false
        )
        extended = ExtendedState(area: area, xcr0: 0b111, components: [upperHalves])
    }

    /// Executes the instruction in `bytes`.
    mutating func complete(_ bytes: [UInt8]) -> Outcome {
        InstructionEmulator.complete(bytes.span, on: &self)
    }

    /// The integer in memory at a linear address.
    func integer<Value: FixedWidthInteger & BitwiseCopyable>(at address: UInt64) -> Value {
        unsafe memory.span.bytes.integer(at: Int(address - memoryStart))
    }

    /// Stores an integer in memory at a linear address.
    mutating func set<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at address: UInt64) {
        memory.storeInteger(value, at: Int(address - memoryStart))
    }
}

/// Decodes 64-bit code.
func decode(_ bytes: [UInt8], _ codeSize: CodeSize = .bits64) throws(DecodeError) -> Instruction {
    try InstructionDecoder.decode(bytes.span, codeSize: codeSize)
}
