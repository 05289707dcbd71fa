// SPDX-License-Identifier: Apache-2.0

extension RawSpan {
    /// The little-endian integer at a byte offset, which need not be aligned.
    ///
    /// - Precondition: The integer lies inside the span.
    func integer<Value: FixedWidthInteger & BitwiseCopyable>(
        at offset: Int,
        as type: Value.Type = Value.self
    ) -> Value {
        precondition(offset >= 0 && offset <= byteCount - MemoryLayout<Value>.size)
        // SAFETY: the bounds were checked above, and every bit pattern is an integer.
        return unsafe Value(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: Value.self))
    }
}
