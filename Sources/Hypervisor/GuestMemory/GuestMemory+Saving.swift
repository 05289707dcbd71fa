// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage

extension GuestMemory {
    /// Writes all memory to a file, region behind region, with holes for the pages that are all zeros.
    ///
    /// No vCPU runs and no device works meanwhile.
    ///
    /// - Parameters:
    ///   - file: Empty.
    ///   - isWanted: Asked now and then whether to go on.
    /// - Returns: The checksum of each 2 MiB of the file.
    /// - Throws: `host`: the file cannot be written, or is not wanted any more (`ECANCELED`).
    package func save(
        to file: FileDescriptor,
        while isWanted: () -> Bool = { true }
    ) throws(GuestMemoryError) -> [UInt32] {
        guard ftruncate(file.rawValue, off_t(clamping: byteCount)) == 0 else {
            throw .host(operation: "ftruncate", byteCount: byteCount, Errno(rawValue: errno))
        }
        let pages = PageMap()
        var checksums: [UInt32] = []
        var checksum = MemoryChecksum()
        var offset: UInt64 = 0
        for region in regions {
            var position: UInt64 = 0
            while position < region.byteCount {
                guard isWanted() else {
                    throw .host(operation: "write", byteCount: byteCount - offset, .canceled)
                }
                // To the next border of a chunk in the file, which need not be one in the region.
                let chunkOffset = offset % MemoryChecksum.chunkByteCount
                let count = min(MemoryChecksum.chunkByteCount - chunkOffset, region.byteCount - position)
                try region.save(
                    position..<position + count,
                    to: file,
                    at: offset,
                    pages: pages,
                    adding: &checksum,
                    from: UInt32(chunkOffset) / UInt32(MemoryChecksum.pageByteCount)
                )
                (position, offset) = (position + count, offset + count)
                if offset % MemoryChecksum.chunkByteCount == 0 || offset == byteCount {
                    checksums.append(checksum.value)
                    checksum = MemoryChecksum()
                }
            }
        }
        return checksums
    }

    /// The file that memory was mapped from and that somebody has cut short.
    package var truncatedFile: FilePath? {
        regions.lazy.compactMap(\.file).first { $0.isTruncated }?.path
    }
}

extension GuestMemoryRegion {
    /// Writes the pages of `range` that are not zero.
    ///
    /// - Parameters:
    ///   - range: At most a chunk of the region.
    ///   - file: The memory file.
    ///   - offset: The place of the range's start in the file.
    ///   - pages: The kernel's knowledge of this process's pages.
    ///   - checksum: Of the chunk.
    ///   - firstNumber: The number of the range's first page in the chunk.
    /// - Throws: `host`: the file cannot be written.
    fileprivate func save(
        _ range: Range<UInt64>,
        to file: FileDescriptor,
        at offset: UInt64,
        pages: PageMap,
        adding checksum: inout MemoryChecksum,
        from firstNumber: UInt32
    ) throws(GuestMemoryError) {
        let pageByteCount = MemoryChecksum.pageByteCount
        let byteCount = Int(range.upperBound - range.lowerBound)
        let position = GuestAddress(rawValue: start.rawValue + range.lowerBound)
        let base = unsafe extent.pointer(to: position)
        let isTouched = unsafe pages.touched(from: base, pageCount: byteCount / pageByteCount)
        let isOfFile = fileExtents.contains { $0.overlaps(range) }
        var run = 0..<0
        for page in 0..<byteCount / pageByteCount {
            let start = page * pageByteCount
            // What nobody has touched is zero, unless it is the file's.
            let mayHaveData = isOfFile || isTouched[page]
            guard unsafe mayHaveData && !MemoryChecksum.isZero(base + start) else { continue }
            unsafe checksum.add(base + start, number: firstNumber + UInt32(page))
            if run.upperBound != start {
                try unsafe write(base, run, to: file, at: offset)
                run = start..<start
            }
            run = run.lowerBound..<start + pageByteCount
        }
        try unsafe write(base, run, to: file, at: offset)
    }

    private func write(
        _ base: UnsafeRawPointer,
        _ run: Range<Int>,
        to file: FileDescriptor,
        at offset: UInt64
    ) throws(GuestMemoryError) {
        var done = run.lowerBound
        while done < run.upperBound {
            let count = unsafe pwrite(file.rawValue, base + done, run.upperBound - done, off_t(offset) + off_t(done))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let error = count < 0 ? Errno(rawValue: errno) : .noSpace
                throw .host(operation: "write", byteCount: UInt64(run.upperBound - done), error)
            }
            done += count
        }
    }
}

/// The kernel's knowledge of this process's pages (Documentation/admin-guide/mm/pagemap.rst).
private final class PageMap {
    private let file = unsafe open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)

    deinit {
        if file >= 0 { close(file) }
    }

    /// Returns whether each page is in memory or swapped out; where the kernel does not tell, all are.
    func touched(from address: UnsafeRawPointer, pageCount: Int) -> [Bool] {
        var entries = [UInt64](repeating: .max, count: pageCount)
        let page = UInt(sysconf(CInt(_SC_PAGESIZE)))
        if file >= 0, page == UInt(MemoryChecksum.pageByteCount) {
            let offset = off_t(clamping: UInt(bitPattern: address) / page * 8)
            let byteCount = pageCount * 8
            let count = unsafe entries.withUnsafeMutableBytes { unsafe pread(file, $0.baseAddress, byteCount, offset) }
            if count != byteCount { entries = [UInt64](repeating: .max, count: pageCount) }
        }
        // Bit 63: present; bit 62: swapped.
        return entries.map { $0 >> 62 != 0 }
    }
}
