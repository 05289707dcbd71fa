// SPDX-License-Identifier: Apache-2.0

/// A block of zeroes in which little-endian integers are set: how the structures for the guest are made.
struct ByteWriter {
    private(set) var bytes: [UInt8]

    init(byteCount: Int) {
        bytes = [UInt8](repeating: 0, count: byteCount)
    }

    /// Sets the integer at `offset`, which is one of ours: outside of the block it is a bug.
    mutating func store<T: FixedWidthInteger>(_ value: T, at offset: Int) {
        precondition(offset >= 0 && offset + MemoryLayout<T>.size <= bytes.count, "field outside of the structure")
        var rest = value
        for index in offset..<offset + MemoryLayout<T>.size {
            bytes[index] = UInt8(truncatingIfNeeded: rest)
            rest >>= 8
        }
    }

    mutating func store(_ source: [UInt8], at offset: Int) {
        bytes.replaceSubrange(offset..<offset + source.count, with: source)
    }
}
