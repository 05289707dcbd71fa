// SPDX-License-Identifier: Apache-2.0

/// The header by which a boot loader such as GRUB knows a multiboot kernel, for the error message only.
enum MultibootHeader {
    /// Multiboot 2 wants its header in the first 32 KiB of the file, version 1 in the first 8.
    static let reach = 32 << 10

    /// The refusal of a kernel that nothing but this header describes.
    static let problem = KernelProblem.notAKernel(
        "it is a multiboot kernel, which a boot loader such as GRUB enters in 32-bit mode; Martlet boots 64-bit Linux "
            + "kernels, and other kernels that have a PVH note"
    )

    /// Returns whether the first bytes of a file hold a header with the right checksum (Multiboot 0.6.96, 3.1; 2.0, 3.1).
    static func isPresent(in start: ByteReader) -> Bool {
        let end = UInt64(min(start.bytes.count, reach))
        return stride(from: 0, to: end, by: 4).contains { offset in
            switch try? start.load(UInt32.self, at: offset) {
            case 0x1bad_b002: offset < 8 << 10 && sum(of: 3, start, at: offset) == 0
            case 0xe852_50d6: offset % 8 == 0 && sum(of: 4, start, at: offset) == 0
            default: false
            }
        }
    }

    private static func sum(of count: UInt64, _ start: ByteReader, at offset: UInt64) -> UInt32? {
        try? (0..<count).reduce(0) { try $0 &+ start.load(UInt32.self, at: offset + 4 * $1) }
    }
}
