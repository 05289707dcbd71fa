// SPDX-License-Identifier: Apache-2.0

/// The decoder of uncompressed data.
struct CopyDecoder: StreamDecoder, ~Copyable {
    private var remaining: UInt64

    init(byteCount: UInt64) {
        remaining = byteCount
    }

    mutating func decode(
        _ input: RawSpan,
        into output: inout MutableRawSpan
    ) throws(DecodingFailure) -> DecodingStep {
        let count = min(input.byteCount, output.byteCount)
        unsafe input.withUnsafeBytes { source in
            unsafe output.withUnsafeMutableBytes { target in
                unsafe target.copyMemory(from: UnsafeRawBufferPointer(rebasing: source[..<count]))
            }
        }
        remaining -= UInt64(count)
        return DecodingStep(consumedByteCount: count, producedByteCount: count, isComplete: remaining == 0)
    }
}
