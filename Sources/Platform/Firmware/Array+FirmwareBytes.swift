// SPDX-License-Identifier: Apache-2.0

extension [UInt8] {
    /// Appends an integer, least significant byte first.
    mutating func appendLittleEndian(_ value: some FixedWidthInteger & UnsignedInteger) {
        for shift in stride(from: 0, to: value.bitWidth, by: 8) {
            append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }

    /// Appends ASCII text, padded with spaces or cut to `width` bytes.
    mutating func append(_ text: StaticString, width: Int) {
        let characters = Array(text.description.utf8.prefix(width))
        self += characters
        self += [UInt8](repeating: UInt8(ascii: " "), count: width - characters.count)
    }

    /// Sets the byte at `index` so that the bytes of `range` add up to 0 modulo 256, as firmware tables are checked.
    mutating func setChecksum(at index: Int, over range: Range<Int>? = nil) {
        self[index] = 0
        self[index] = 0 &- self[range ?? indices].reduce(0, &+)
    }
}
