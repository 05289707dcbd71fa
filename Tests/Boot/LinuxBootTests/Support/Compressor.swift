// SPDX-License-Identifier: Apache-2.0

import CCompression
import LinuxBoot

/// Compresses as the kernel's build does, by the libraries' own compressors.
enum Compressor {
    struct Failure: Error {
        let compression: Compression
        let code: Int
    }

    /// The compressions of a bzImage's payload that can be made here.
    static let payloadFormats: [Compression] = [.gzip, .bzip2, .xz, .lzma, .lz4Legacy, .zstd, .uncompressed]

    /// The payload of a bzImage: compressed, and for all but gzip with the size appended (`size_append`).
    static func payload(_ bytes: [UInt8], _ compression: Compression) throws -> [UInt8] {
        var payload = Bytes()
        payload.put(try compress(bytes, compression), at: 0)
        if compression != .gzip, compression != .uncompressed {
            payload.put(UInt32(bytes.count), at: payload.all.count)
        }
        return payload.all
    }

    static func compress(_ bytes: [UInt8], _ compression: Compression) throws -> [UInt8] {
        switch compression {
        case .gzip: try gzip(bytes)
        case .bzip2: try bzip2(bytes)
        case .xz: try xz(bytes)
        case .lzma: try lzmaAlone(bytes)
        case .lz4Legacy: try lz4Legacy(bytes)
        case .lz4: try lz4Frame(bytes)
        case .zstd: try zstd(bytes)
        case .lzo: [0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a] + bytes
        case .uncompressed: bytes
        }
    }

    private static func output(_ count: Int) -> [UInt8] {
        [UInt8](repeating: 0, count: count + count / 8 + 1024)
    }

    private static func gzip(_ bytes: [UInt8]) throws -> [UInt8] {
        var input = bytes
        var result = output(bytes.count)
        var stream = unsafe z_stream()
        let start = unsafe deflateInit2_(
            &stream,
            9,
            Z_DEFLATED,
            16 + MAX_WBITS,
            8,
            Z_DEFAULT_STRATEGY,
            ZLIB_VERSION,
            CInt(MemoryLayout<z_stream>.size)
        )
        guard start == Z_OK else { throw Failure(compression: .gzip, code: Int(start)) }
        defer { _ = unsafe deflateEnd(&stream) }
        let code = unsafe input.withUnsafeMutableBufferPointer { source in
            unsafe result.withUnsafeMutableBufferPointer { target in
                unsafe stream.next_in = source.baseAddress
                unsafe stream.avail_in = CUnsignedInt(source.count)
                unsafe stream.next_out = target.baseAddress
                unsafe stream.avail_out = CUnsignedInt(target.count)
                return unsafe deflate(&stream, Z_FINISH)
            }
        }
        guard code == Z_STREAM_END else { throw Failure(compression: .gzip, code: Int(code)) }
        return unsafe Array(result.prefix(Int(stream.total_out)))
    }

    private static func bzip2(_ bytes: [UInt8]) throws -> [UInt8] {
        var input = bytes
        var result = output(bytes.count)
        var count = CUnsignedInt(result.count)
        let code = unsafe input.withUnsafeMutableBytes { source in
            unsafe result.withUnsafeMutableBytes { target in
                unsafe BZ2_bzBuffToBuffCompress(
                    target.baseAddress?.assumingMemoryBound(to: CChar.self),
                    &count,
                    source.baseAddress?.assumingMemoryBound(to: CChar.self),
                    CUnsignedInt(source.count),
                    9,
                    0,
                    0
                )
            }
        }
        guard code == BZ_OK else { throw Failure(compression: .bzip2, code: Int(code)) }
        return Array(result.prefix(Int(count)))
    }

    /// With the x86 filter and CRC32, as `scripts/xz_wrap.sh` does.
    private static func xz(_ bytes: [UInt8]) throws -> [UInt8] {
        var options = unsafe lzma_options_lzma()
        unsafe lzma_lzma_preset(&options, 6)
        var result = output(bytes.count)
        var count = 0
        let code = unsafe withUnsafeMutablePointer(to: &options) { options in
            var filters = unsafe [
                lzma_filter(id: 0x04, options: nil),  // LZMA_FILTER_X86
                lzma_filter(id: 0x21, options: options),  // LZMA_FILTER_LZMA2
                lzma_filter(id: .max, options: nil),
            ]
            return unsafe lzma_stream_buffer_encode(
                &filters,
                LZMA_CHECK_CRC32,
                nil,
                bytes,
                bytes.count,
                &result,
                &count,
                result.count
            )
        }
        guard code == LZMA_OK else { throw Failure(compression: .xz, code: Int(code.rawValue)) }
        return Array(result.prefix(count))
    }

    /// An xz stream of two blocks, the second of which names a filter that nobody knows, with a sound checksum.
    static func xzWithUnknownSecondBlock(_ bytes: [UInt8]) throws -> [UInt8] {
        var stream = unsafe lzma_stream()
        let start = unsafe lzma_easy_encoder(&stream, 1, LZMA_CHECK_CRC32)
        guard start == LZMA_OK else { throw Failure(compression: .xz, code: Int(start.rawValue)) }
        defer { unsafe lzma_end(&stream) }
        var result = output(bytes.count)
        let firstByteCount = bytes.count - 1000
        var secondStart = 0
        let code = unsafe bytes.withUnsafeBufferPointer { source in
            unsafe result.withUnsafeMutableBufferPointer { target in
                unsafe stream.next_out = target.baseAddress
                unsafe stream.avail_out = target.count
                unsafe stream.next_in = source.baseAddress
                unsafe stream.avail_in = firstByteCount
                let flushed = unsafe lzma_code(&stream, LZMA_FULL_FLUSH)
                guard flushed == LZMA_STREAM_END else { return flushed }
                unsafe secondStart = Int(stream.total_out)
                unsafe stream.avail_in = 1000
                return unsafe lzma_code(&stream, LZMA_FINISH)
            }
        }
        guard code == LZMA_STREAM_END else { throw Failure(compression: .xz, code: Int(code.rawValue)) }
        // Block header: its size in 4-byte units less one, flags, the filter's number, ..., CRC32.
        let checkStart = secondStart + Int(result[secondStart]) * 4
        result[secondStart + 2] = 0x22
        let check = unsafe lzma_crc32(Array(result[secondStart..<checkStart]), checkStart - secondStart, 0)
        var file = Bytes()
        file.put(unsafe Array(result.prefix(Int(stream.total_out))), at: 0)
        file.put(check, at: checkStart)
        return file.all
    }

    private static func lzmaAlone(_ bytes: [UInt8]) throws -> [UInt8] {
        var options = unsafe lzma_options_lzma()
        unsafe lzma_lzma_preset(&options, 6)
        var stream = unsafe lzma_stream()
        let start = unsafe lzma_alone_encoder(&stream, &options)
        guard start == LZMA_OK else { throw Failure(compression: .lzma, code: Int(start.rawValue)) }
        defer { unsafe lzma_end(&stream) }
        var result = output(bytes.count)
        let code = unsafe bytes.withUnsafeBufferPointer { source in
            unsafe result.withUnsafeMutableBufferPointer { target in
                unsafe stream.next_in = source.baseAddress
                unsafe stream.avail_in = source.count
                unsafe stream.next_out = target.baseAddress
                unsafe stream.avail_out = target.count
                return unsafe lzma_code(&stream, LZMA_FINISH)
            }
        }
        guard code == LZMA_STREAM_END else { throw Failure(compression: .lzma, code: Int(code.rawValue)) }
        return unsafe Array(result.prefix(Int(stream.total_out)))
    }

    private static func lz4Legacy(_ bytes: [UInt8]) throws -> [UInt8] {
        let blockByteCount = 8 << 20
        var file = Bytes()
        file.put(0x184c_2102 as UInt32, at: 0)
        for start in stride(from: 0, to: bytes.count, by: blockByteCount) {
            let block = Array(bytes[start..<min(start + blockByteCount, bytes.count)])
            var result = output(block.count)
            let count = unsafe block.withUnsafeBytes { source in
                unsafe result.withUnsafeMutableBytes { target in
                    unsafe LZ4_compress_HC(
                        source.baseAddress?.assumingMemoryBound(to: CChar.self),
                        target.baseAddress?.assumingMemoryBound(to: CChar.self),
                        CInt(source.count),
                        CInt(target.count),
                        9
                    )
                }
            }
            guard count > 0 else { throw Failure(compression: .lz4Legacy, code: Int(count)) }
            file.put(UInt32(count), at: file.all.count)
            file.put(Array(result.prefix(Int(count))), at: file.all.count)
        }
        return file.all
    }

    private static func lz4Frame(_ bytes: [UInt8]) throws -> [UInt8] {
        var result = [UInt8](repeating: 0, count: LZ4F_compressFrameBound(bytes.count, nil))
        let count = unsafe LZ4F_compressFrame(&result, result.count, bytes, bytes.count, nil)
        guard LZ4F_isError(count) == 0 else { throw Failure(compression: .lz4, code: count) }
        return Array(result.prefix(count))
    }

    private static func zstd(_ bytes: [UInt8]) throws -> [UInt8] {
        var result = [UInt8](repeating: 0, count: ZSTD_compressBound(bytes.count))
        let count = unsafe ZSTD_compress(&result, result.count, bytes, bytes.count, 9)
        guard ZSTD_isError(count) == 0 else { throw Failure(compression: .zstd, code: count) }
        return Array(result.prefix(count))
    }
}
