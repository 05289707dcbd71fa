// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
package import Host
package import SystemPackage

/// A file of saved guest memory that others may map at the same time, and that nobody may change.
package final class MemoryFile: Sendable {
    /// The path, for messages.
    package let path: FilePath
    /// The number of bytes of guest memory in it, from its start on.
    package let byteCount: UInt64
    private let descriptor: OwnedDescriptor
    /// The parts that have data, where the caller knew them.
    private let knownExtents: [Range<UInt64>]?
    /// Holes smaller than this are mapped with the data around them: each mapping costs time at the start, and a few empty
    /// pages in the host's cache cost little.
    private static let smallestHole: UInt64 = 1 << 20
    /// The largest number of mappings that a file becomes: the kernel allows a process some 65,000 (`vm.max_map_count`).
    package static let maximumExtentCount = 512

    /// Takes over an open file.
    ///
    /// - Parameters:
    ///   - descriptor: A regular file that can be read.
    ///   - path: The path, for messages.
    ///   - byteCount: The number of bytes of guest memory in it.
    ///   - extents: The parts that have data, in order, in whole pages; `nil` to ask the file system. All else is zeros.
    /// - Throws: `endOfFile` for a shorter file, `host` where it has no size.
    package init(
        adopting descriptor: consuming OwnedDescriptor,
        path: FilePath,
        byteCount: UInt64,
        extents: [Range<UInt64>]? = nil
    ) throws(GuestMemoryError) {
        (self.path, self.byteCount, knownExtents) = (path, byteCount, extents)
        self.descriptor = descriptor
        let size = try size()
        guard size >= byteCount else { throw .endOfFile(missing: byteCount - size) }
    }

    /// Returns whether the file was truncated: the guest has then lost the memory that was mapped from its end.
    package var isTruncated: Bool {
        ((try? size()) ?? 0) < byteCount
    }

    private func size() throws(GuestMemoryError) -> UInt64 {
        var status = stat()
        guard unsafe fstat(descriptor.rawValue, &status) == 0 else {
            throw .host(operation: "fstat", byteCount: byteCount, Errno(rawValue: errno))
        }
        return UInt64(clamping: status.st_size)
    }

    /// The parts of a range that have data, in whole pages, relative to its start.
    func dataExtents(at offset: UInt64, byteCount: UInt64) throws(GuestMemoryError) -> [Range<UInt64>] {
        let (end, isOverflow) = offset.addingReportingOverflow(byteCount)
        guard !isOverflow, end <= self.byteCount else { throw .endOfFile(missing: end &- self.byteCount) }
        guard let knownExtents else { return Self.dataExtents(of: descriptor.borrowed, in: offset..<end) }
        return knownExtents.map { $0.clamped(to: offset..<end) }.filter { !$0.isEmpty }.map {
            $0.lowerBound - offset..<$0.upperBound - offset
        }
    }

    /// Asks the file system for the parts of a range that have data, in whole pages, relative to its start.
    ///
    /// The range is whole pages. The answer has at most `maximumExtentCount` parts, in order, with no small hole between them.
    package static func dataExtents(of file: FileDescriptor, in range: Range<UInt64>) -> [Range<UInt64>] {
        let (offset, end) = (range.lowerBound, range.upperBound)
        var extents: [Range<UInt64>] = []
        var position = offset
        while position < end {
            let data = chost_seek_data(file.rawValue, Int64(position))
            // ENXIO: no data from here on. A file system that knows no holes says that all is data.
            guard data >= 0, UInt64(data) < end else { break }
            let hole = chost_seek_hole(file.rawValue, data)
            let extentEnd = hole > data ? min(UInt64(hole), end) : end
            let page = UInt64(MemoryChecksum.pageByteCount)
            let lower = UInt64(data) / page * page - offset
            let upper = min((extentEnd + page - 1) / page * page, end) - offset
            if let last = extents.last, lower < last.upperBound + smallestHole {
                extents[extents.count - 1] = last.lowerBound..<max(upper, last.upperBound)
            } else {
                extents.append(lower..<upper)
            }
            position = extentEnd
        }
        return merge(extents, toAtMost: maximumExtentCount)
    }

    /// Computes the checksum of each 2 MiB.
    ///
    /// - Returns: The checksums, as `GuestMemory.save` gives them.
    /// - Throws: `host` where the file cannot be read, `endOfFile` where it has become shorter.
    package func checksums() throws(GuestMemoryError) -> [UInt32] {
        var checksums: [UInt32] = []
        var checksum = MemoryChecksum()
        // In parts of a chunk, because malloc keeps what a machine that runs needed once.
        let step = GuestMemory.stepByteCount
        var bytes = [UInt8](repeating: 0, count: Int(step))
        for start in stride(from: 0, to: byteCount, by: Int(step)) {
            let data = chost_seek_data(descriptor.rawValue, Int64(start))
            let end = min(start + step, byteCount)
            // A file system that knows no holes says that there is data.
            if data >= 0, UInt64(data) < end {
                if UInt64(bytes.count) > end - start { bytes.removeLast(bytes.count - Int(end - start)) }
                try read(into: &bytes, at: start)
                let place = start % MemoryChecksum.chunkByteCount
                checksum.add(bytes, from: UInt32(place) / UInt32(MemoryChecksum.pageByteCount))
            }
            if end % MemoryChecksum.chunkByteCount == 0 || end == byteCount {
                checksums.append(checksum.value)
                checksum = MemoryChecksum()
            }
        }
        return checksums
    }

    /// Reads a part of the memory.
    ///
    /// - Returns: The bytes.
    /// - Throws: `host` where the file cannot be read, `endOfFile` where it is shorter.
    package func bytes(_ range: Range<UInt64>) throws(GuestMemoryError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: range.count)
        // A hole has nothing to be read.
        let data = chost_seek_data(descriptor.rawValue, Int64(range.lowerBound))
        if data < 0 || UInt64(data) < range.upperBound { try read(into: &bytes, at: range.lowerBound) }
        return bytes
    }

    private func read(into bytes: inout [UInt8], at offset: UInt64) throws(GuestMemoryError) {
        var done = 0
        let total = bytes.count
        while done < total {
            let count = unsafe bytes.withUnsafeMutableBytes { buffer in
                let start = unsafe buffer.baseAddress.map { unsafe $0 + done }
                return unsafe pread(descriptor.rawValue, start, total - done, off_t(offset) + off_t(done))
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw .host(operation: "read of \(path)", byteCount: UInt64(total - done), Errno(rawValue: errno))
            }
            guard count > 0 else { throw .endOfFile(missing: UInt64(total - done)) }
            done += count
        }
    }

    /// Closes the smallest holes until few enough extents are left.
    static func merge(_ extents: [Range<UInt64>], toAtMost maximum: Int) -> [Range<UInt64>] {
        guard extents.count > maximum else { return extents }
        let holes = zip(extents, extents.dropFirst()).map { $1.lowerBound - $0.upperBound }.sorted()
        // Of the holes, maximum - 1 stay: the largest ones, and fewer where some are of the same size.
        let limit = holes[holes.count - maximum]
        var merged = [extents[0]]
        for extent in extents.dropFirst() {
            let last = merged[merged.count - 1]
            if extent.lowerBound - last.upperBound <= limit {
                merged[merged.count - 1] = last.lowerBound..<extent.upperBound
            } else {
                merged.append(extent)
            }
        }
        return merged
    }

    /// Maps one extent of the region that begins at `offset` in the file over the region's memory.
    func map(
        _ extent: Range<UInt64>,
        of region: UnsafeMutableRawPointer,
        at offset: UInt64
    ) throws(GuestMemoryError) {
        let count = extent.upperBound - extent.lowerBound
        let mapping = unsafe mmap(
            region + Int(extent.lowerBound),
            Int(count),
            PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED,
            descriptor.rawValue,
            off_t(offset + extent.lowerBound)
        )
        guard unsafe mapping != MAP_FAILED else {
            throw .host(operation: "mmap of \(path)", byteCount: count, Errno(rawValue: errno))
        }
    }

    /// The last words of a process that dies of the file.
    var messageOfTruncation: String {
        "martlet: \(Self.truncation(of: path))\n"
    }

    /// The cause of such an end, in words.
    package static func truncation(of path: FilePath) -> String {
        """
        the snapshot's memory file \(path) was cut short while a machine ran from it: replace a snapshot by another one, and \
        never write into its files
        """
    }
}
