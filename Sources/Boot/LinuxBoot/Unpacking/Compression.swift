// SPDX-License-Identifier: Apache-2.0

/// How a kernel may be compressed.
package enum Compression: String, Hashable, Sendable, CaseIterable, CustomStringConvertible {
    case gzip
    case bzip2
    case xz
    /// The "alone" format of the old lzma tool.
    case lzma
    /// The legacy frame format (`lz4 -l`), which is what Linux uses.
    case lz4Legacy = "lz4 (legacy)"
    /// The frame format of today's lz4 tool.
    case lz4
    case zstd
    /// Recognised so that a message can name it, but not unpacked: liblzo2 is under the GPL.
    case lzo
    /// A plain ELF image (`CONFIG_KERNEL_UNCOMPRESSED`).
    case uncompressed

    package var description: String { rawValue }

    /// "gzip-compressed" and its like.
    package var adjective: String { self == .uncompressed ? rawValue : "\(rawValue)-compressed" }

    /// As many bytes from the start as `init(magicOf:)` looks at.
    static let magicByteCount = 9

    /// Recognises a format by the magic number in the first bytes, or gives `nil`.
    init?(magicOf start: ByteReader) {
        let format = Self.magicNumbers.first { start.has($0.magic) }
        guard let format else { return nil }
        self = format.compression
    }

    private static let magicNumbers: [(magic: [UInt8], compression: Compression)] = [
        ([0x1f, 0x8b], .gzip),
        ([0x42, 0x5a, 0x68], .bzip2),
        ([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], .xz),
        ([0x5d, 0x00, 0x00], .lzma),
        ([0x02, 0x21, 0x4c, 0x18], .lz4Legacy),
        ([0x04, 0x22, 0x4d, 0x18], .lz4),
        ([0x28, 0xb5, 0x2f, 0xfd], .zstd),
        (ELFHeader.magic, .uncompressed),
        ([0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a], .lzo),
    ]
}
