// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc

/// The checksum of 2 MiB of saved guest memory.
///
/// It is the CRC-32C of each 4 KiB page that is not all zeros, in their order, each behind its number in the 2 MiB as 4
/// little-endian bytes. So it is the same for a sparse file and for one without holes.
package struct MemoryChecksum: Hashable, Sendable {
    /// The number of bytes that one checksum covers.
    package static let chunkByteCount: UInt64 = 2 << 20
    package static let pageByteCount = 4096

    package private(set) var value: UInt32 = 0

    package init() {}

    /// Adds a page that is not all zeros.
    mutating func add(_ page: UnsafeRawPointer, number: UInt32) {
        var number = number.littleEndian
        value = unsafe chost_crc32c(value, &number, MemoryLayout<UInt32>.size)
        value = unsafe chost_crc32c(value, page, Self.pageByteCount)
    }

    static func isZero(_ page: UnsafeRawPointer) -> Bool {
        // Each byte is the one before it, and the first is 0; `memcmp` is as fast as the processor can read.
        unsafe page.load(as: UInt64.self) == 0 && memcmp(page, page + 8, pageByteCount - 8) == 0
    }

    /// Adds whole pages.
    ///
    /// - Parameters:
    ///   - bytes: The pages, at most a chunk.
    ///   - firstNumber: The number of the first page in the chunk.
    package mutating func add(_ bytes: [UInt8], from firstNumber: UInt32 = 0) {
        unsafe bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return }
            for page in 0..<buffer.count / Self.pageByteCount {
                let start = unsafe base + page * Self.pageByteCount
                if unsafe !Self.isZero(start) { unsafe add(start, number: firstNumber + UInt32(page)) }
            }
        }
    }
}
