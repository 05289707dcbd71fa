// SPDX-License-Identifier: Apache-2.0

import CCompression

/// bzip2 by libbzip2, one stream.
@safe
struct Bzip2Decoder: StreamDecoder, ~Copyable {
    private let state = unsafe LibraryState(bz_stream())

    init() throws(DecodingFailure) {
        let result = unsafe BZ2_bzDecompressInit(state.pointer, 0, 0)
        guard result == BZ_OK else { throw .unsupported("libbzip2 could not be set up (\(result))") }
    }

    deinit {
        unsafe BZ2_bzDecompressEnd(state.pointer)
    }

    mutating func decode(
        _ input: RawSpan,
        into output: inout MutableRawSpan
    ) throws(DecodingFailure) -> DecodingStep {
        let inputByteCount = input.byteCount
        let outputByteCount = output.byteCount
        // SAFETY: libbzip2 keeps neither pointer beyond the call; each call sets both anew.
        let result = unsafe input.withUnsafeBytes { source in
            unsafe output.withUnsafeMutableBytes { target in
                unsafe state.pointer.pointee.next_in = UnsafeMutablePointer(
                    mutating: source.baseAddress?.assumingMemoryBound(to: CChar.self)
                )
                unsafe state.pointer.pointee.avail_in = CUnsignedInt(inputByteCount)
                unsafe state.pointer.pointee.next_out = target.baseAddress?.assumingMemoryBound(to: CChar.self)
                unsafe state.pointer.pointee.avail_out = CUnsignedInt(outputByteCount)
                return unsafe BZ2_bzDecompress(state.pointer)
            }
        }
        switch result {
        case BZ_OK, BZ_STREAM_END:
            return unsafe DecodingStep(
                consumedByteCount: inputByteCount - Int(state.pointer.pointee.avail_in),
                producedByteCount: outputByteCount - Int(state.pointer.pointee.avail_out),
                isComplete: result == BZ_STREAM_END
            )
        case BZ_MEM_ERROR: throw .unsupported("the host has no memory for its blocks")
        case BZ_DATA_ERROR_MAGIC: throw .damaged("a block has a wrong signature")
        default: throw .damaged("a block contradicts its checksum or the format")
        }
    }
}
