// SPDX-License-Identifier: Apache-2.0

/// The operands of a vector function.
struct VectorOperands {
    /// The first operand, which the result replaces.
    var destination = Vector128()
    /// The second operand, zero-extended if it is smaller than a register.
    var source = Vector128()
    var immediate: UInt8 = 0
    /// XMM0, which a few instructions use without naming it.
    var implicit = Vector128()
    /// Indicates whether the instruction moves 64-bit rather than 32-bit integers.
    var isWide = false
}

/// A pure function from the operands of a vector instruction to its result.
typealias VectorFunction = @Sendable (VectorOperands) -> Vector128

/// A pure function from an XMM register, the operand `source`, to an integer.
typealias VectorExtraction = @Sendable (VectorOperands) -> UInt64

/// The way in which an instruction accesses its vector in memory.
enum VectorMemory: Sendable {
    /// 16 bytes at a multiple of 16.
    case aligned
    /// 16 bytes anywhere.
    case unaligned
    /// 8 bytes anywhere.
    case quadword
    /// 4 bytes anywhere.
    case doubleword
    /// 2 bytes anywhere.
    case word
}

/// The size of the integer that an instruction moves into or out of a vector.
enum VectorElement: Sendable {
    /// 4 bytes, or 8 with REX.W.
    case doublewordOrQuadword
    /// 2 bytes in memory, 4 in a register.
    case word
    /// 1 byte in memory, 4 in a register.
    case byte
}
