// SPDX-License-Identifier: Apache-2.0

import CCompression

extension Unpacker {
    /// The legacy format's block size, which every block but the last has once unpacked.
    private static let blockByteCount = 8 << 20
    private static let magic: UInt32 = 0x184c_2102

    /// Unpacks the legacy lz4 format, which liblz4's frame functions do not read: a magic number, then blocks, each
    /// behind its compressed size in 4 bytes.
    ///
    /// Nothing marks the end. Linux appends the unpacked size in 4 bytes, so what is too short for a size and a block
    /// is that.
    borrowing func unpackLZ4Legacy(_ file: borrowing ImageFile, _ sink: Sink) throws {
        let largestBlock = Int(LZ4_compressBound(CInt(Self.blockByteCount)))
        // Neither buffer is touched further than the blocks reach.
        var input = RawBuffer(byteCount: largestBlock)
        var output = RawBuffer(byteCount: Self.blockByteCount)
        var total: UInt64 = 0
        var position = source.lowerBound + 4
        while position < source.upperBound, source.upperBound - position > 4 {
            let word = ByteReader(try file.read(upTo: 4, at: position))
            let size = try word.load(UInt32.self, at: 0)
            position += 4
            // `cat a.lz4 b.lz4` is a stream, too.
            if size == Self.magic { continue }
            guard size > 0, size <= UInt32(largestBlock) else {
                throw DecodingFailure.damaged("a block of \(size) bytes is impossible")
            }
            guard UInt64(size) <= source.upperBound - position else { throw DecodingFailure.truncated }
            let count = try input.withMutableBytes(0..<Int(size)) { span throws(BootError) in
                try file.read(into: &span, at: position)
            }
            guard count == Int(size) else { throw file.failure(.shrank(missing: UInt64(Int(size) - count))) }
            position += UInt64(size)
            let produced = try input.withBytes(0..<Int(size)) { bytes throws(DecodingFailure) in
                try output.withMutableBytes(0..<Self.blockByteCount) { space throws(DecodingFailure) in
                    try Self.decompressBlock(bytes, into: &space)
                }
            }
            try self.count(produced, &total, path: file.path)
            try output.withBytes(0..<produced, sink)
            // Only the last block is short; it must also be the last one, or the data were cut and joined.
            guard produced == Self.blockByteCount || source.upperBound - position <= 4 else {
                let next = ByteReader(try file.read(upTo: 4, at: position))
                guard next.has([0x02, 0x21, 0x4c, 0x18]) else {
                    throw DecodingFailure.damaged("a block in the middle is too short")
                }
                continue
            }
        }
        guard total > 0 else { throw DecodingFailure.truncated }
    }

    private static func decompressBlock(
        _ input: RawSpan,
        into output: inout MutableRawSpan
    ) throws(DecodingFailure) -> Int {
        let result = unsafe input.withUnsafeBytes { source in
            unsafe output.withUnsafeMutableBytes { target in
                unsafe LZ4_decompress_safe(
                    source.baseAddress?.assumingMemoryBound(to: CChar.self),
                    target.baseAddress?.assumingMemoryBound(to: CChar.self),
                    CInt(source.count),
                    CInt(target.count)
                )
            }
        }
        guard result > 0 else { throw .damaged("a block contradicts the format") }
        return Int(result)
    }
}
