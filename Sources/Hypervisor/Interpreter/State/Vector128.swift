// SPDX-License-Identifier: Apache-2.0

/// The value of an XMM register or a 128-bit memory operand, seen as lanes of any width.
///
/// Lane 0 holds the least significant bits (Intel SDM volume 1, 4.6.2 "128-Bit Packed SIMD Data Types").
package struct Vector128: Hashable, Sendable {
    /// Sixteen 8-bit lanes.
    package var bytes: SIMD16<UInt8>

    /// Makes a vector from sixteen bytes, least significant first.
    package init(bytes: SIMD16<UInt8> = .zero) {
        self.bytes = bytes
    }

    // SAFETY of the casts: all these SIMD types have 16 bytes, no padding, and every bit pattern is a value.

    init(words: SIMD8<UInt16>) {
        self.bytes = unsafe unsafeBitCast(words, to: SIMD16<UInt8>.self)
    }

    init(doublewords: SIMD4<UInt32>) {
        self.bytes = unsafe unsafeBitCast(doublewords, to: SIMD16<UInt8>.self)
    }

    init(quadwords: SIMD2<UInt64>) {
        self.bytes = unsafe unsafeBitCast(quadwords, to: SIMD16<UInt8>.self)
    }

    /// Makes a vector from two 64-bit halves.
    package init(low: UInt64, high: UInt64 = 0) {
        self.init(quadwords: SIMD2(low, high))
    }

    init(_ value: UInt128) {
        self.init(low: UInt64(truncatingIfNeeded: value), high: UInt64(truncatingIfNeeded: value >> 64))
    }

    /// Eight 16-bit lanes.
    var words: SIMD8<UInt16> {
        get { unsafe unsafeBitCast(bytes, to: SIMD8<UInt16>.self) }
        set { self = Vector128(words: newValue) }
    }

    /// Four 32-bit lanes.
    var doublewords: SIMD4<UInt32> {
        get { unsafe unsafeBitCast(bytes, to: SIMD4<UInt32>.self) }
        set { self = Vector128(doublewords: newValue) }
    }

    /// Two 64-bit lanes.
    var quadwords: SIMD2<UInt64> {
        get { unsafe unsafeBitCast(bytes, to: SIMD2<UInt64>.self) }
        set { self = Vector128(quadwords: newValue) }
    }

    /// The low half.
    package var low: UInt64 {
        get { quadwords[0] }
        set { quadwords[0] = newValue }
    }

    /// The high half.
    package var high: UInt64 {
        get { quadwords[1] }
        set { quadwords[1] = newValue }
    }

    /// All bits as one integer.
    var integer: UInt128 {
        UInt128(high) << 64 | UInt128(low)
    }
}
