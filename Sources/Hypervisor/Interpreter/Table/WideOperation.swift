// SPDX-License-Identifier: Apache-2.0

/// The value of a YMM register or a 256-bit memory operand; a 128-bit instruction leaves the upper half zero.
struct Vector256: Hashable, Sendable {
    var lower = Vector128()
    var upper = Vector128()
}

/// The operands of a function of whole vectors.
struct WideOperands {
    /// The operand that `vvvv` names.
    var first = Vector256()
    /// The operand that `rm` names.
    var source = Vector256()
    /// The operand that the upper half of the immediate names.
    var mask = Vector256()
    var immediate: UInt8 = 0
}

/// A pure function from the operands of a VEX instruction to its result.
typealias WideFunction = @Sendable (WideOperands) -> Vector256

/// The part of the operand `rm` that an instruction reads.
enum WideSource: Hashable, Sendable {
    /// As many bytes as the vector has.
    case full
    /// 16 bytes.
    case xmm
    /// So many bytes, at most 8.
    case bytes(Int)
    /// So many bytes for each half of the vector.
    case elements(Int)

    /// The number of bytes, for a source that has the same in every vector length.
    var byteCount: Int {
        switch self {
        case .full: 32
        case .xmm: 16
        case .bytes(let count), .elements(let count): count
        }
    }
}
