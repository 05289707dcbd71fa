// SPDX-License-Identifier: Apache-2.0

extension RawSpan {
    /// The byte at `offset`, which must be inside the span; anything else is a bug of ours and traps.
    package func byte(at offset: Int) -> UInt8 {
        // SAFETY: `unsafeLoad` checks the bounds itself, and every bit pattern is a UInt8.
        unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }

    /// The first 8 bytes at most as a little-endian number.
    package var littleEndianValue: UInt64 {
        (0..<Swift.min(byteCount, 8)).reduce(0) { $0 | UInt64(byte(at: $1)) << UInt64(8 * $1) }
    }
}

extension MutableRawSpan {
    /// Fills the whole span with one byte.
    package mutating func fill(with byte: UInt8) {
        for offset in 0..<byteCount {
            storeBytes(of: byte, toByteOffset: offset, as: UInt8.self)
        }
    }
}
