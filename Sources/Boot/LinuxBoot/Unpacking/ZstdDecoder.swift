// SPDX-License-Identifier: Apache-2.0

import CCompression

/// zstd by libzstd, one frame with a window of at most 128 MiB, which is what `zstd --ultra -22` makes.
@safe
package struct ZstdDecoder: StreamDecoder, ~Copyable {
    private let context: OpaquePointer

    package init() throws(DecodingFailure) {
        guard let context = unsafe ZSTD_createDCtx() else {
            throw .unsupported("the host has no memory for libzstd")
        }
        unsafe self.context = context
    }

    deinit {
        unsafe ZSTD_freeDCtx(context)
    }

    package mutating func decode(
        _ input: RawSpan,
        into output: inout MutableRawSpan
    ) throws(DecodingFailure) -> DecodingStep {
        var source = unsafe ZSTD_inBuffer(src: nil, size: input.byteCount, pos: 0)
        var target = unsafe ZSTD_outBuffer(dst: nil, size: output.byteCount, pos: 0)
        // SAFETY: libzstd keeps neither pointer beyond the call.
        let result = unsafe input.withUnsafeBytes { sourceBytes in
            unsafe output.withUnsafeMutableBytes { targetBytes in
                unsafe source.src = sourceBytes.baseAddress
                unsafe target.dst = targetBytes.baseAddress
                return unsafe ZSTD_decompressStream(context, &target, &source)
            }
        }
        guard ZSTD_isError(result) == 0 else {
            let reason = unsafe String(cString: ZSTD_getErrorName(result))
            switch ZSTD_getErrorCode(result) {
            case ZSTD_error_frameParameter_windowTooLarge, ZSTD_error_frameParameter_unsupported,
                ZSTD_error_dictionary_wrong, ZSTD_error_version_unsupported, ZSTD_error_memory_allocation:
                throw .unsupported(reason)
            default:
                throw .damaged(reason)
            }
        }
        return unsafe DecodingStep(
            consumedByteCount: source.pos,
            producedByteCount: target.pos,
            isComplete: result == 0
        )
    }
}
