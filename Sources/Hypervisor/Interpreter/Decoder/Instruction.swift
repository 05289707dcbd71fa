// SPDX-License-Identifier: Apache-2.0

/// A decoded instruction: its encoding taken apart, with no meaning attached.
package struct Instruction: Hashable, Sendable {
    /// The number of bytes, 1 to 15.
    package var length = 0
    package var prefixes: Prefixes = []
    /// The last segment override, if there is one.
    package var segmentOverride: SegmentRegister?
    /// The one of `66`, `f2` and `f3` that selects the instruction.
    package var mandatoryPrefix: MandatoryPrefix = .none
    /// REX.W or VEX.W.
    package var isWide = false
    /// VEX.L: a 256-bit vector length.
    package var isVector256 = false
    /// VEX.vvvv, not inverted: 0 when the encoding has 1111.
    package var vexRegister: UInt8 = 0
    package var map: OpcodeMap = .primary
    /// The opcode's last byte.
    package var opcode: UInt8 = 0
    /// The ModRM byte.
    package var modRM: ModRM?
    /// The memory operand of ModRM.
    package var memory: MemoryOperand?
    /// The immediate operand, zero-extended.
    package var immediate: UInt64 = 0
    /// The mode that it was decoded for.
    package var codeSize: CodeSize

    init(codeSize: CodeSize) {
        self.codeSize = codeSize
    }

    /// The operand size of an integer instruction: 2, 4 or 8 bytes.
    ///
    /// Intel SDM volume 1, table 3-4 "Effective Operand- and Address-Size Attributes in 64-Bit Mode".
    package var operandWidth: OperandWidth {
        if isWide && codeSize == .bits64 { return .quadword }
        if prefixes.contains(.vex) { return .doubleword }
        return prefixes.contains(.operandSize) == (codeSize == .bits16) ? .doubleword : .word
    }

    /// The address size.
    package var addressWidth: OperandWidth {
        let isOverridden = prefixes.contains(.addressSize)
        return switch codeSize {
        case .bits16: isOverridden ? .doubleword : .word
        case .bits32: isOverridden ? .word : .doubleword
        case .bits64: isOverridden ? .doubleword : .quadword
        }
    }
}
