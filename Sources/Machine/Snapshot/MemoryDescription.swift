// SPDX-License-Identifier: Apache-2.0

package import GuestMemory
package import Host

/// The memory that a snapshot's `memory` holds.
package struct MemoryDescription: Codable, Hashable, Sendable {
    /// The size of guest memory in bytes.
    package var byteCount: UInt64
    /// The checksum of each 2 MiB of the file, as 4 little-endian bytes: see `MemoryChecksum`.
    package var checksums: Base64
    /// The id of the snapshot that this one has only the differences to; `nil` for one that has all.
    package private(set) var base: Base64?
    /// The parts of the file that have data, or that differ, each as the numbers of its first page and of the page after it; `nil`
    /// where only the file system knows them, which must be asked hundreds of times.
    package var data: [UInt64]?
    /// The stamp of a file that has nothing but memory, as Firecracker's; `nil` where a page with the snapshot's id follows.
    package private(set) var stamp: String?

    enum CodingKeys: String, CodingKey {
        case byteCount = "bytes"
        case checksums = "crc32c"
        case base = "base_id"
        case data = "data_pages"
        case stamp = "file"
    }

    package init(
        byteCount: UInt64,
        checksums: [UInt32],
        base: Base64? = nil,
        extents: [Range<UInt64>]? = nil,
        stamp: String? = nil
    ) {
        (self.byteCount, self.base, self.stamp) = (byteCount, base, stamp)
        data = extents.map(Self.pages)
        self.checksums = Base64(
            checksums.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * UInt32($0))) } }
        )
    }

    /// Makes the description of a whole memory from that of its differences.
    ///
    /// - Parameters:
    ///   - extents: The parts of its file that have data.
    ///   - stamp: As in `init`.
    package mutating func complete(extents: [Range<UInt64>], stamp: String? = nil) {
        (base, data, self.stamp) = (nil, Self.pages(extents), stamp)
    }

    private static func pages(_ extents: [Range<UInt64>]) -> [UInt64] {
        let page = UInt64(MemoryChecksum.pageByteCount)
        return extents.flatMap { [$0.lowerBound / page, $0.upperBound / page] }
    }

    /// The parts of the file that have data.
    ///
    /// - Returns: The parts in bytes; `nil` where they are not known, or are none that a file of this size has.
    var extents: [Range<UInt64>]? {
        guard let data, data.count / 2 <= MemoryFile.maximumExtentCount else { return nil }
        return parts
    }

    /// The parts of the file that have data, or that differ, however many; `nil` where they are none that a file of this size has.
    package var parts: [Range<UInt64>]? {
        let page = UInt64(MemoryChecksum.pageByteCount)
        guard let data, data.count.isMultiple(of: 2), data.allSatisfy({ $0 <= byteCount / page }),
            zip(data, data.dropFirst()).allSatisfy(<)
        else { return nil }
        return stride(from: 0, to: data.count, by: 2).map { data[$0] * page..<data[$0 + 1] * page }
    }

    /// Compares a file with the checksums.
    ///
    /// - Returns: The parts of guest memory, of 2 MiB each, that are not as they were saved.
    package func damage(in file: MemoryFile) throws(GuestMemoryError) -> [Range<UInt64>] {
        let found = MemoryDescription(byteCount: byteCount, checksums: try file.checksums()).checksums.bytes
        let saved = checksums.bytes
        let chunk = MemoryChecksum.chunkByteCount
        return (0..<max(found.count, saved.count) / 4).filter { index in
            let place = index * 4..<index * 4 + 4
            return place.upperBound > min(found.count, saved.count) || found[place] != saved[place]
        }.map { UInt64($0) * chunk..<min(UInt64($0 + 1) * chunk, max(byteCount, UInt64($0) * chunk)) }
    }
}
