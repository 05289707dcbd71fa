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

/// The reason why bytes are not an instruction that the decoder knows.
package enum DecodeError: Error, Hashable, Sendable {
    /// The bytes end before the instruction does.
    case truncated
    /// The instruction is longer than 15 bytes, which raises #GP (Intel SDM volume 2, 2.3.11).
    case tooLong
    /// The opcode does not exist in this mode, which raises #UD.
    case invalidOpcode
    /// An encoding scheme that the decoder does not know: EVEX, XOP, 3DNow!.
    case unsupportedEncoding
}

/// An opcode map (Intel SDM volume 2, appendix A.3).
package enum OpcodeMap: UInt8, Sendable {
    /// One-byte opcodes.
    case primary
    /// Opcodes after `0f`.
    case map0F
    /// Opcodes after `0f 38`.
    case map0F38
    /// Opcodes after `0f 3a`.
    case map0F3A
}

/// A ModRM byte with its REX or VEX extensions (Intel SDM volume 2, 2.1.3 "ModR/M and SIB Bytes").
package struct ModRM: Hashable, Sendable {
    /// `mod`: 3 for a register operand.
    package var mod: UInt8
    /// `reg`, extended to four bits.
    package var reg: UInt8
    /// `rm`, extended to four bits.
    package var rm: UInt8

    /// Indicates whether `rm` names a register.
    package var isRegister: Bool { mod == 3 }
    /// The three bits of `reg` that select an instruction in a group.
    var group: UInt8 { reg & 7 }
    /// The three bits of `rm` in the byte itself.
    var lowRM: UInt8 { rm & 7 }
    /// `reg` as a general-purpose register.
    package var register: GeneralRegister { GeneralRegister(encoding: reg) }
    /// `rm` as a general-purpose register.
    package var rmRegister: GeneralRegister { GeneralRegister(encoding: rm) }
}
