// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
package import SystemPackage

extension GuestMemory {
    /// The facts about memory that was saved.
    package struct Saved {
        /// The checksum of each 2 MiB of memory.
        package fileprivate(set) var checksums: [UInt32] = []
        /// The parts that were written, in bytes, whole pages, in order.
        package fileprivate(set) var written: [Range<UInt64>] = []
    }

    /// The bytes that are looked at, and read from an earlier file, at a time: a part of a chunk.
    static let stepByteCount: UInt64 = 256 << 10

    /// Writes memory to a file, region after region, with holes for the pages that are all zeros, or as they are in another file.
    ///
    /// No vCPU runs and no device works meanwhile.
    ///
    /// - Parameters:
    ///   - file: Empty.
    ///   - base: An earlier file of this memory: only what differs is written then, zeros too.
    ///   - isWanted: Asked now and then whether to go on.
    /// - Returns: The checksums of memory, and the written pages.
    /// - Throws: `host`: the file cannot be written, or is not wanted any more (`ECANCELED`).
    package func save(
        to file: FileDescriptor,
        changedFrom base: MemoryFile? = nil,
        while isWanted: () -> Bool = { true }
    ) throws(GuestMemoryError) -> Saved {
        guard ftruncate(file.rawValue, off_t(clamping: byteCount)) == 0 else {
            throw .host(operation: "ftruncate", byteCount: byteCount, Errno(rawValue: errno))
        }
        var saved = Saved()
        var checksum = MemoryChecksum()
        var offset: UInt64 = 0
        for region in regions {
            var position: UInt64 = 0
            while position < region.byteCount {
                guard isWanted() else {
                    throw .host(operation: "write", byteCount: byteCount - offset, .canceled)
                }
                // To the next border of a step in the file, which need not be one in the region.
                let count = min(Self.stepByteCount - offset % Self.stepByteCount, region.byteCount - position)
                let chunkOffset = offset % MemoryChecksum.chunkByteCount
                try region.save(
                    position..<position + count,
                    to: file,
                    at: offset,
                    base: base?.bytes(offset..<offset + count),
                    adding: &checksum,
                    from: UInt32(chunkOffset) / UInt32(MemoryChecksum.pageByteCount),
                    &saved
                )
                (position, offset) = (position + count, offset + count)
                if offset % MemoryChecksum.chunkByteCount == 0 || offset == byteCount {
                    saved.checksums.append(checksum.value)
                    checksum = MemoryChecksum()
                }
            }
        }
        return saved
    }

    /// Maps a file's contents into untouched memory, region after region.
    ///
    /// - Parameter file: The file; once.
    /// - Throws: The errors of `GuestMemoryRegion.begin`.
    package func begin(with file: MemoryFile) throws(GuestMemoryError) {
        var offset: UInt64 = 0
        for region in regions {
            try region.begin(with: file, at: offset)
            offset += region.byteCount
        }
    }

    /// The file that memory was mapped from and that somebody has cut short.
    package var truncatedFile: FilePath? {
        regions.lazy.compactMap { $0.file?.file }.first { $0.isTruncated }?.path
    }
}

extension GuestMemoryRegion {
    /// Writes the pages of `range` that are not zero, or not as they were.
    ///
    /// - Parameters:
    ///   - range: Within a chunk.
    ///   - file: The memory file.
    ///   - offset: The place of the range's start in the file.
    ///   - before: The bytes of the range as they were; `nil` for zeros that need not be written.
    ///   - checksum: Of the chunk.
    ///   - firstNumber: The number of the range's first page in the chunk.
    ///   - saved: Gets the written pages.
    /// - Throws: `host`: the file cannot be written.
    fileprivate func save(
        _ range: Range<UInt64>,
        to file: FileDescriptor,
        at offset: UInt64,
        base before: [UInt8]?,
        adding checksum: inout MemoryChecksum,
        from firstNumber: UInt32,
        _ saved: inout GuestMemory.Saved
    ) throws(GuestMemoryError) {
        let pageByteCount = MemoryChecksum.pageByteCount
        let byteCount = Int(range.upperBound - range.lowerBound)
        let position = GuestAddress(rawValue: start.rawValue + range.lowerBound)
        let base = unsafe extent.pointer(to: position)
        let isTouched = unsafe PageMap.touched(from: base, pageCount: byteCount / pageByteCount)
        let isOfFile = self.file?.extents.contains { $0.overlaps(range) } ?? false
        var run = 0..<0
        func endRun() throws(GuestMemoryError) {
            guard !run.isEmpty else { return }
            try unsafe write(base, run, to: file, at: offset)
            let (start, end) = (offset + UInt64(run.lowerBound), offset + UInt64(run.upperBound))
            if let last = saved.written.last, last.upperBound == start {
                saved.written[saved.written.count - 1] = last.lowerBound..<end
            } else {
                saved.written.append(start..<end)
            }
        }
        for page in 0..<byteCount / pageByteCount {
            let start = page * pageByteCount
            // Untouched memory is zero, unless it belongs to the file.
            let mayHaveData = isOfFile || isTouched[page]
            let hasData = unsafe mayHaveData && !MemoryChecksum.isZero(base + start)
            if hasData { unsafe checksum.add(base + start, number: firstNumber + UInt32(page)) }
            let isWritten =
                unsafe before?.withUnsafeBytes { before in
                    guard let address = before.baseAddress else { return hasData }
                    // A page that nobody touched and that was zero is not touched here either.
                    let wasZero = unsafe MemoryChecksum.isZero(address + start)
                    return unsafe hasData ? memcmp(base + start, address + start, pageByteCount) != 0 : !wasZero
                } ?? hasData
            guard isWritten else { continue }
            if run.upperBound != start {
                try endRun()
                run = start..<start
            }
            run = run.lowerBound..<start + pageByteCount
        }
        try endRun()
    }

    private func write(
        _ base: UnsafeRawPointer,
        _ run: Range<Int>,
        to file: FileDescriptor,
        at offset: UInt64
    ) throws(GuestMemoryError) {
        do throws(Errno) {
            let bytes = unsafe UnsafeRawBufferPointer(start: base + run.lowerBound, count: run.count)
            try unsafe file.write(all: bytes, at: offset + UInt64(run.lowerBound))
        } catch {
            throw .host(operation: "write", byteCount: UInt64(run.count), error)
        }
    }
}

/// The kernel's knowledge of this process's pages.
private enum PageMap {
    /// Returns whether each page is in memory or swapped out; where the kernel does not tell, all are.
    static func touched(from address: UnsafeRawPointer, pageCount: Int) -> [Bool] {
        var entries = [UInt64](repeating: .max, count: pageCount)
        let page = UInt(sysconf(CInt(_SC_PAGESIZE)))
        if let file = ProcessFiles.pageMap?.rawValue, page == UInt(MemoryChecksum.pageByteCount) {
            let offset = off_t(clamping: UInt(bitPattern: address) / page * 8)
            let byteCount = pageCount * 8
            let count = unsafe entries.withUnsafeMutableBytes { unsafe pread(file, $0.baseAddress, byteCount, offset) }
            if count != byteCount { entries = [UInt64](repeating: .max, count: pageCount) }
        }
        // Bit 63: present; bit 62: swapped.
        return entries.map { $0 >> 62 != 0 }
    }
}
