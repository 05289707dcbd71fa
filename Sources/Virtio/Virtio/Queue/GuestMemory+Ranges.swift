// SPDX-License-Identifier: Apache-2.0

package import GuestMemory

/// Copies that follow a chain through its ranges, wherever the driver cut the buffer (virtio 1.2, 2.7.4.1).
extension GuestMemory {
    /// The 16 bytes from `offset` on as two little-endian numbers; zeros beyond the end.
    package func words(of ranges: [GuestRange], at offset: Int) -> (UInt64, UInt64) {
        if let first = ranges.first, offset + 16 <= Int(first.byteCount) {
            let address = GuestAddress(rawValue: first.address.rawValue &+ UInt64(offset))
            if let value = try? load(UInt128.self, at: address) {
                return (UInt64(truncatingIfNeeded: value), UInt64(truncatingIfNeeded: value >> 64))
            }
        }
        var value: UInt128 = 0
        forEachByte(of: ranges, from: offset, count: 16) { index, address in
            value |= UInt128((try? load(UInt8.self, at: address)) ?? 0) << UInt128(8 * index)
        }
        return (UInt64(truncatingIfNeeded: value), UInt64(truncatingIfNeeded: value >> 64))
    }

    /// A copy of the first `count` bytes; fewer where the ranges end before.
    package func bytes(of ranges: [GuestRange], count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        forEachPart(of: ranges, from: 0, to: count) { _, part in
            bytes += (try? read(byteCount: Int(part.byteCount), at: part.address)) ?? []
        }
        return bytes
    }

    /// Writes `bytes` from `offset` on; bytes beyond the end are dropped.
    package func write(_ bytes: ArraySlice<UInt8>, to ranges: [GuestRange], at offset: Int) {
        forEachPart(of: ranges, from: offset, to: offset + bytes.count) { position, part in
            let first = bytes.startIndex + position - offset
            let piece = bytes[first..<first + Int(part.byteCount)]
            try? unsafe write(piece.span.bytes, at: part.address)
        }
    }

    /// Byte by byte: for headers, which are few.
    private func forEachByte(of ranges: [GuestRange], from start: Int, count: Int, _ body: (Int, GuestAddress) -> Void)
    {
        forEachPart(of: ranges, from: start, to: start + count) { position, part in
            for index in 0..<Int(part.byteCount) {
                body(position - start + index, GuestAddress(rawValue: part.address.rawValue &+ UInt64(index)))
            }
        }
    }

    /// Calls `body` for what each range has of the bytes `start ..< end`, with its position among all bytes.
    private func forEachPart(of ranges: [GuestRange], from start: Int, to end: Int, _ body: (Int, GuestRange) -> Void) {
        var position = 0
        for range in ranges where position < end {
            let (lower, upper) = (max(start, position), min(end, position + Int(range.byteCount)))
            if lower < upper {
                let address = GuestAddress(rawValue: range.address.rawValue &+ UInt64(lower - position))
                body(lower, GuestRange(address: address, byteCount: UInt32(upper - lower)))
            }
            position += Int(range.byteCount)
        }
    }
}
