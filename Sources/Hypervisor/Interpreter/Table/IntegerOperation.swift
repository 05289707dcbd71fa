// SPDX-License-Identifier: Apache-2.0

/// The operands of an integer function.
struct IntegerOperands {
    /// The size of the result.
    let width: OperandWidth
    /// The size of `source`.
    let sourceWidth: OperandWidth
    /// ModRM.reg before the instruction, zero-extended.
    let register: UInt64
    /// VEX.vvvv before the instruction, zero-extended.
    let vexRegister: UInt64
    /// ModRM.rm: a register or memory, zero-extended.
    let source: UInt64
    let immediate: UInt8
    /// The flags, which the function may change.
    var flags: RFlags

    /// Sets SF and ZF for a result and clears OF and CF, as the bit manipulation instructions do.
    mutating func setFlags(for result: UInt64, carry: Bool = false) {
        flags.set(.zero, to: width.truncate(result) == 0)
        flags.set(.sign, to: result & width.signBit != 0)
        flags.set(.carry, to: carry)
        flags.subtract(.overflow)
    }
}

/// An instruction whose result goes to one general-purpose register.
struct IntegerOperation: Sendable {
    /// The destination of the result.
    enum Destination: Sendable {
        case register
        case vexRegister
    }

    /// The rule for the size of an operand.
    enum Width: Sendable {
        /// From REX.W and `66`.
        case operand
        /// From REX.W alone.
        case doublewordOrQuadword
        /// Always one byte.
        case byte
    }

    var destination = Destination.register
    var width = Width.operand
    var sourceWidth = Width.operand
    let function: @Sendable (inout IntegerOperands) -> UInt64
}
