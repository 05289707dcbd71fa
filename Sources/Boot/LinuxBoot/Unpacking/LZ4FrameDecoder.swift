// SPDX-License-Identifier: Apache-2.0

import CCompression

/// The lz4 frame format by liblz4, one frame.
@safe
struct LZ4FrameDecoder: StreamDecoder, ~Copyable {
    private let context: OpaquePointer

    init() throws(DecodingFailure) {
        var created: OpaquePointer?
        let result = unsafe LZ4F_createDecompressionContext(&created, CUnsignedInt(LZ4F_VERSION))
        guard LZ4F_isError(result) == 0, let context = unsafe created else {
            throw .unsupported("the host has no memory for liblz4")
        }
        unsafe self.context = context
    }

    deinit {
        unsafe LZ4F_freeDecompressionContext(context)
    }

    mutating func decode(
        _ input: RawSpan,
        into output: inout MutableRawSpan
    ) throws(DecodingFailure) -> DecodingStep {
        var consumed = input.byteCount
        var produced = output.byteCount
        // SAFETY: liblz4 keeps neither pointer beyond the call: without stableDst it copies its history.
        let result = unsafe input.withUnsafeBytes { source in
            unsafe output.withUnsafeMutableBytes { target in
                unsafe LZ4F_decompress(context, target.baseAddress, &produced, source.baseAddress, &consumed, nil)
            }
        }
        guard LZ4F_isError(result) == 0 else {
            throw .damaged(unsafe String(cString: LZ4F_getErrorName(result)))
        }
        return DecodingStep(consumedByteCount: consumed, producedByteCount: produced, isComplete: result == 0)
    }
}
