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
        // Reserved room without data is a hole, unless read-ahead has brought pages of it into memory.
        _ = posix_fadvise(source.rawValue, 0, 0, POSIX_FADV_RANDOM)
        var position: off_t = 0
        while position < end {
            var start = lseek(source.rawValue, position, seekData)
            // Nothing but holes from here on.
            if start < 0, errno == ENXIO { return }
            // A file system that knows no holes: all is data.
            if start < 0 { start = position }
            let hole = lseek(source.rawValue, start, seekHole)
            position = hole > start ? hole : end
            var offset = UInt64(start)
            while offset < UInt64(position) {
                guard isWanted() else { throw Failure(isOfSource: false, operation: "copy", error: .canceled) }
                let step = min(Int(position) - Int(offset), stepByteCount)
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

    /// `SEEK_DATA` and `SEEK_HOLE`, which the Glibc module does not show.
    private static let (seekData, seekHole): (CInt, CInt) = (3, 4)
}
