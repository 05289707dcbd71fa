// SPDX-License-Identifier: Apache-2.0

import CCompression

/// gzip by zlib, one member.
@safe
package struct GzipDecoder: StreamDecoder, ~Copyable {
    private let state = unsafe LibraryState(z_stream())

    package init() throws(DecodingFailure) {
        // 16: expect a gzip header. The largest window of the format is 2^15 bytes.
        let result = unsafe inflateInit2_(
            state.pointer,
            16 + MAX_WBITS,
            ZLIB_VERSION,
            CInt(MemoryLayout<z_stream>.size)
        )
        guard result == Z_OK else { throw .unsupported("zlib could not be set up (\(result))") }
    }

    deinit {
        unsafe inflateEnd(state.pointer)
    }

    package mutating func decode(
        _ input: RawSpan,
        into output: inout MutableRawSpan
    ) throws(DecodingFailure) -> DecodingStep {
        let inputByteCount = input.byteCount
        let outputByteCount = output.byteCount
        // SAFETY: zlib keeps neither pointer beyond the call; each call sets both anew.
        let result = unsafe input.withUnsafeBytes { source in
            unsafe output.withUnsafeMutableBytes { target in
                unsafe state.pointer.pointee.next_in = UnsafeMutablePointer(
                    mutating: source.baseAddress?.assumingMemoryBound(to: UInt8.self)
                )
                unsafe state.pointer.pointee.avail_in = CUnsignedInt(inputByteCount)
                unsafe state.pointer.pointee.next_out = target.baseAddress?.assumingMemoryBound(to: UInt8.self)
                unsafe state.pointer.pointee.avail_out = CUnsignedInt(outputByteCount)
                return unsafe inflate(state.pointer, Z_NO_FLUSH)
            }
        }
        switch result {
        case Z_OK, Z_STREAM_END, Z_BUF_ERROR:
            return unsafe DecodingStep(
                consumedByteCount: inputByteCount - Int(state.pointer.pointee.avail_in),
                producedByteCount: outputByteCount - Int(state.pointer.pointee.avail_out),
                isComplete: result == Z_STREAM_END
            )
        case Z_MEM_ERROR: throw .unsupported("the host has no memory for its window")
        default:
            let message = unsafe state.pointer.pointee.msg.map { unsafe String(cString: $0) }
            throw .damaged(message ?? "zlib error \(result)")
        }
    }
}
