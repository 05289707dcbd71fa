// SPDX-License-Identifier: Apache-2.0

/// Little-endian integers out of bytes that nobody vouches for: an access outside of them is an error, not a trap.
struct ByteReader: Hashable, Sendable {
    /// An access would have left the bytes.
    struct OutOfBytes: Error, Hashable {
        /// The number of bytes that are needed.
        let needed: UInt64
    }

    let bytes: [UInt8]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    func load<T: FixedWidthInteger>(_ type: T.Type = T.self, at offset: UInt64) throws(OutOfBytes) -> T {
        let start = try self.offset(of: offset, byteCount: MemoryLayout<T>.size)
        var value: T = 0
        for index in (start..<start + MemoryLayout<T>.size).reversed() {
            value = value << 8 | T(truncatingIfNeeded: bytes[index])
        }
        return value
    }

    func slice(at offset: UInt64, byteCount: UInt64) throws(OutOfBytes) -> [UInt8] {
        guard let count = Int(exactly: byteCount) else { throw OutOfBytes(needed: .max) }
        let start = try self.offset(of: offset, byteCount: count)
        return Array(bytes[start..<start + count])
    }

    /// Returns whether `magic` stands at `offset`.
    func has(_ magic: [UInt8], at offset: UInt64 = 0) -> Bool {
        (try? slice(at: offset, byteCount: UInt64(magic.count))) == magic
    }

    /// Returns whether the ASCII characters of `magic` stand at `offset`.
    func has(_ magic: String, at offset: UInt64 = 0) -> Bool {
        has(Array(magic.utf8), at: offset)
    }

    private func offset(of offset: UInt64, byteCount: Int) throws(OutOfBytes) -> Int {
        let (end, overflow) = offset.addingReportingOverflow(UInt64(byteCount))
        guard !overflow, end <= UInt64(bytes.count) else { throw OutOfBytes(needed: overflow ? .max : end) }
        return Int(offset)
    }
}
