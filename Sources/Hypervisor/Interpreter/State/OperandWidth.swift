// SPDX-License-Identifier: Apache-2.0

/// The size of an integer operand; the raw value is its number of bytes.
package enum OperandWidth: Int, Sendable {
    case byte = 1
    case word = 2
    case doubleword = 4
    case quadword = 8

    /// The number of bytes.
    var byteCount: Int { rawValue }

    /// The number of bits.
    var bitCount: UInt64 { UInt64(rawValue) * 8 }

    /// A value with the operand's bits set.
    var mask: UInt64 { .max >> (64 - bitCount) }

    /// The most significant bit of the operand.
    var signBit: UInt64 { 1 << (bitCount - 1) }

    /// The low bits of `value`, zero-extended.
    func truncate(_ value: UInt64) -> UInt64 { value & mask }
}
