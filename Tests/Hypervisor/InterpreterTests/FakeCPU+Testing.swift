// SPDX-License-Identifier: Apache-2.0

@testable import Interpreter
import TestSupport

extension FakeCPU {
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
