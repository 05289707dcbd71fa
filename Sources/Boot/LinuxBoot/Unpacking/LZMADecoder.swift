// SPDX-License-Identifier: Apache-2.0

import CCompression

/// xz, with its filters, and the old lzma "alone" format by liblzma; one stream.
@safe
struct LZMADecoder: StreamDecoder, ~Copyable {
    /// The largest dictionary that is accepted, plus what liblzma needs beside it.
    ///
    /// `xz -9` uses 64 MiB and Linux up to 128 MiB. The dictionary's pages are touched only as the output grows.
    private static let memoryLimit: UInt64 = 512 << 20

    /// `LZMA_TELL_UNSUPPORTED_CHECK`, a macro that Swift does not see: refuse a checksum that cannot be verified.
    private static let tellUnsupportedCheck: UInt32 = 0x02

    private let state = unsafe LibraryState(lzma_stream())

    init(isAlone: Bool) throws(DecodingFailure) {
        let result =
            unsafe isAlone
            ? lzma_alone_decoder(state.pointer, Self.memoryLimit)
            : lzma_stream_decoder(state.pointer, Self.memoryLimit, Self.tellUnsupportedCheck)
        guard result == LZMA_OK else { throw .unsupported("liblzma could not be set up (\(result.rawValue))") }
    }

    deinit {
        unsafe lzma_end(state.pointer)
    }

    mutating func decode(
        _ input: RawSpan,
        into output: inout MutableRawSpan
    ) throws(DecodingFailure) -> DecodingStep {
        let inputByteCount = input.byteCount
        let outputByteCount = output.byteCount
        // SAFETY: liblzma keeps neither pointer beyond the call; each call sets both anew.
        let result = unsafe input.withUnsafeBytes { source in
            unsafe output.withUnsafeMutableBytes { target in
                unsafe state.pointer.pointee.next_in = source.baseAddress?.assumingMemoryBound(to: UInt8.self)
                unsafe state.pointer.pointee.avail_in = inputByteCount
                unsafe state.pointer.pointee.next_out = target.baseAddress?.assumingMemoryBound(to: UInt8.self)
                unsafe state.pointer.pointee.avail_out = outputByteCount
                return unsafe lzma_code(state.pointer, LZMA_RUN)
            }
        }
        switch result {
        case LZMA_OK, LZMA_STREAM_END, LZMA_BUF_ERROR:
            return unsafe DecodingStep(
                consumedByteCount: inputByteCount - state.pointer.pointee.avail_in,
                producedByteCount: outputByteCount - state.pointer.pointee.avail_out,
                isComplete: result == LZMA_STREAM_END
            )
        case LZMA_MEM_ERROR, LZMA_MEMLIMIT_ERROR: throw .unsupported("its dictionary is too large")
        case LZMA_OPTIONS_ERROR: throw .unsupported("it uses filters that liblzma does not know")
        case LZMA_UNSUPPORTED_CHECK: throw .unsupported("it uses a checksum that liblzma does not know")
        case LZMA_FORMAT_ERROR: throw .damaged("the stream header is broken")
        default: throw .damaged("a block contradicts its checksum or the format")
        }
    }
}
