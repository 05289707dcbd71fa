// SPDX-License-Identifier: Apache-2.0

/// The compression of a kernel.
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

    /// The number of bytes that `init(magicOf:)` and `continues(with:)` want to see, behind which a skippable frame
    /// of pzstd's size hides nothing.
    static let magicByteCount = 32

    /// Recognises a format by the magic number in the first bytes, or gives `nil`.
    ///
    /// pzstd writes a skippable frame in front of each frame. Frames of lz4 and zstd look alike in this respect, so
    /// the first other frame decides.
    init?(magicOf start: ByteReader) {
        var offset: UInt64 = 0
        while start.hasSkippableFrame(at: offset), let size: UInt32 = try? start.load(at: offset + 4) {
            offset += 8 + UInt64(size)
        }
        if let format = Self.magicNumbers.first(where: { start.has($0.magic, at: offset) }) {
            self = format.compression
        } else if offset > 0 {
            self = .zstd
        } else {
            return nil
        }
    }

    /// Returns whether a file of this format continues with the bytes in `start`, after a complete member, stream or frame.
    ///
    /// pigz, pbzip2, pixz, pzstd, bgzip and `cat a.gz b.gz` make files of several parts.
    func continues(with start: ByteReader) -> Bool {
        switch self {
        case .gzip, .bzip2, .xz: hasMagic(start)
        case .lz4, .zstd: hasMagic(start) || start.hasSkippableFrame(at: 0)
        case .lzma, .lz4Legacy, .lzo, .uncompressed: false
        }
    }

    private func hasMagic(_ start: ByteReader) -> Bool {
        Self.magicNumbers.contains { $0.compression == self && start.has($0.magic) }
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

extension ByteReader {
    /// Returns whether a skippable frame of the lz4 and zstd formats begins at `offset`.
    fileprivate func hasSkippableFrame(at offset: UInt64) -> Bool {
        guard let magic: UInt32 = try? load(at: offset) else { return false }
        return magic & 0xffff_fff0 == 0x184d_2a50
    }
}
