// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import SystemPackage

/// Indicates whether a Linux kernel can unpack its initial RAM disk.
///
/// A kernel that cannot continues without it, and panics for lack of a root, long after its one line about it.
enum InitrdSupport {
    /// In every kernel that unpacks an initramfs: its message in init/initramfs.c.
    private static let unpacker = Array("Initramfs unpacking failed".utf8)

    /// A format, the option that builds it in, and a message that its code in lib/decompress_*.c has.
    private static let formats: [(compression: Compression, option: String, mark: String)] = [
        (.gzip, "RD_GZIP", "Not a gzip file"),
        (.bzip2, "RD_BZIP2", "Obsolete (pre 0.9.5) bzip format"),
        (.xz, "RD_XZ", "XZ-compressed data is corrupt"),
        (.lz4Legacy, "RD_LZ4", "chunk length is longer than allocated"),
        (.zstd, "RD_ZSTD", "ZSTD-compressed data is corrupt"),
    ]

    /// Checks whether a kernel can unpack its initial RAM disk.
    ///
    /// `start` is the first bytes of the initial RAM disk. The answer is `nil` where the kernel can unpack it, and where nobody
    /// can tell.
    static func note(
        on start: ByteReader,
        _ path: FilePath,
        for kernel: PlacedKernel,
        in memory: GuestMemory
    ) throws(GuestMemoryError) -> String? {
        guard kernel.imageAddress == nil, let compression = Compression(magicOf: start),
            let format = formats.first(where: { $0.compression == compression }),
            try memory.contains(unpacker, in: kernel.range),
            try !memory.contains(Array(format.mark.utf8), in: kernel.range)
        else { return nil }
        let takesGzip = try memory.contains(Array(formats[0].mark.utf8), in: kernel.range)
        return """
            initrd \(path) is \(compression.adjective), which this kernel cannot unpack (it lacks CONFIG_\(format.option)): \
            \(takesGzip ? "pack it by gzip, or not at all" : "unpack it first")
            """
    }
}
