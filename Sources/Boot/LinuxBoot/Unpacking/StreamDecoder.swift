// SPDX-License-Identifier: Apache-2.0

/// A decompressor that is fed a part of its input at a time.
package protocol StreamDecoder: ~Copyable {
    /// Turns some of `input` into some of `output`.
    mutating func decode(
        _ input: RawSpan,
        into output: inout MutableRawSpan
    ) throws(DecodingFailure) -> DecodingStep
}

/// The result of one call of a decoder.
package struct DecodingStep: Hashable {
    package let consumedByteCount: Int
    package let producedByteCount: Int
    /// The member, stream or frame is complete; bytes after it are not the decoder's.
    package let isComplete: Bool
}

/// The reason why a decoder cannot go on.
package enum DecodingFailure: Error, Hashable {
    /// The data contradict the format or their checksum.
    case damaged(String)
    /// The data end before the stream is complete.
    case truncated
    /// The data are in order, but use something that the library or its limits do not admit.
    case unsupported(String)
}
