// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
package import SystemPackage

/// Copies of a file's bytes that share blocks where the file system can do that, and keep the holes.
package enum FileCopy {
    /// The reason why a copy is not whole.
    package struct Failure: Error {
        /// Indicates whether the fault is the source's.
        package let isOfSource: Bool
        /// The verb of what failed: open, resize or copy.
        package let operation: String
        package let error: Errno
    }

    /// The largest number of bytes that are copied in one call, which nothing interrupts.
    private static let stepByteCount = 16 << 20

    /// Copies a file to an empty one.
    ///
    /// - Parameters:
    ///   - path: The file to read, which may be a path of `/proc/self/fd`.
    ///   - copy: Open for writing.
    ///   - isWanted: Asked now and then whether to go on.
    /// - Throws: `Failure`, with `Errno.canceled` where the copy is not wanted any more.
    package static func copy(
        _ path: FilePath,
        to copy: FileDescriptor,
        while isWanted: () -> Bool = { true }
    ) throws(Failure) {
        let file = unsafe path.withPlatformString { unsafe chost_open_again($0, O_RDONLY | O_CLOEXEC) }
        guard file >= 0 else { throw Failure(isOfSource: true, operation: "open", error: Errno(rawValue: -file)) }
        let source = OwnedDescriptor(adopting: file)
        // A file system that can share blocks needs no copy at all.
        guard chost_clone(copy.rawValue, source.rawValue) < 0 else { return }
        let end = lseek(source.rawValue, 0, SEEK_END)
        guard end >= 0, ftruncate(copy.rawValue, end) == 0 else {
            throw Failure(isOfSource: false, operation: "resize", error: Errno(rawValue: errno))
        }
        for extent in dataExtents(of: source, end) {
            var offset = UInt64(extent.lowerBound)
            while offset < UInt64(extent.upperBound) {
                guard isWanted() else { throw Failure(isOfSource: false, operation: "copy", error: .canceled) }
                let step = min(Int(extent.upperBound) - Int(offset), stepByteCount)
                let count = chost_copy_range(source.rawValue, offset, copy.rawValue, offset, step)
                if count == -Int(EINTR) { continue }
                guard count >= 0 else {
                    throw Failure(isOfSource: false, operation: "copy", error: Errno(rawValue: CInt(-count)))
                }
                // The source became shorter since its size was read.
                guard count > 0 else { throw Failure(isOfSource: true, operation: "copy", error: .ioError) }
                offset += UInt64(count)
            }
        }
    }

    /// Finds all data before any is read: read-ahead brings pages of reserved room into memory, which count as data then.
    private static func dataExtents(of file: borrowing OwnedDescriptor, _ end: off_t) -> [Range<Int64>] {
        var extents: [Range<Int64>] = []
        var position: Int64 = 0
        while position < end {
            var start = chost_seek_data(file.rawValue, position)
            // Nothing but holes from here on.
            if start < 0, errno == ENXIO { break }
            // A file system that knows no holes: all is data.
            if start < 0 { start = position }
            let hole = chost_seek_hole(file.rawValue, start)
            position = hole > start ? hole : Int64(end)
            extents.append(start..<max(start, position))
        }
        return extents
    }
}
