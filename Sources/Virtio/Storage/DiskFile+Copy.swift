// SPDX-License-Identifier: Apache-2.0

import CStorage
import Glibc
import Host
package import SystemPackage

/// A copy of an image that has no name and ends with its last user.
package final class PrivateCopy: Sendable {
    private let owned: OwnedDescriptor

    init(adopting descriptor: consuming OwnedDescriptor) {
        owned = descriptor
    }

    /// To be inherited by another process that is to have it.
    package var descriptor: FileDescriptor { owned.borrowed }

    /// By which this process, and nobody else, can open it.
    package var path: FilePath { FilePath("/proc/self/fd/\(owned.rawValue)") }
}

extension DiskFile {
    /// Copies an image to a file without a name.
    ///
    /// - Parameters:
    ///   - image: The image, which stays as it is.
    ///   - folder: Where there is room for what the image's blocks need.
    /// - Returns: The copy, as sparse as the image.
    /// - Throws: `StorageError.file`.
    package static func privateCopy(of image: FilePath, in folder: FilePath) throws(StorageError) -> PrivateCopy {
        var file = unsafe folder.withPlatformString { unsafe cstorage_unnamed_file($0) }
        if file == -EOPNOTSUPP || file == -EISDIR { file = unnamedFile(in: folder) }
        guard file >= 0 else {
            throw .file(folder, operation: "no room for a private copy of \(image)", Errno(rawValue: -file))
        }
        let owned = OwnedDescriptor(adopting: file)
        try copy(image, to: owned.rawValue, named: folder)
        return PrivateCopy(adopting: owned)
    }

    /// Copies an image to a new file.
    ///
    /// - Parameters:
    ///   - image: The image, which stays as it is.
    ///   - path: Where nothing is yet; nothing is left there when the copy fails.
    /// - Throws: `StorageError.file`.
    package static func copy(of image: FilePath, to path: FilePath) throws(StorageError) {
        let file = unsafe path.withPlatformString {
            unsafe Glibc.open($0, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        }
        guard file >= 0 else { throw .file(path, operation: "create", Errno(rawValue: errno)) }
        let owned = OwnedDescriptor(adopting: file)
        do throws(StorageError) {
            try copy(image, to: owned.rawValue, named: path)
        } catch {
            unsafe path.withPlatformString { _ = unsafe unlink($0) }
            throw error
        }
    }

    /// For file systems without `O_TMPFILE`: a name for a moment.
    private static func unnamedFile(in folder: FilePath) -> CInt {
        var template = Array(folder.appending("martlet-XXXXXX").string.utf8CString)
        let file = unsafe mkstemp(&template)
        guard file >= 0 else { return -errno }
        _ = fcntl(file, F_SETFD, FD_CLOEXEC)
        unsafe unlink(template)
        return file
    }

    private static func copy(_ image: FilePath, to copy: CInt, named path: FilePath) throws(StorageError) {
        let file = unsafe image.withPlatformString { unsafe Glibc.open($0, O_RDONLY | O_CLOEXEC) }
        guard file >= 0 else { throw .file(image, operation: "open", Errno(rawValue: errno)) }
        let source = OwnedDescriptor(adopting: file)
        // A file system that can share blocks needs no copy at all.
        guard cstorage_clone(copy, source.rawValue) < 0 else { return }
        let end = lseek(source.rawValue, 0, SEEK_END)
        guard end >= 0, ftruncate(copy, end) == 0 else {
            throw .file(path, operation: "resize", Errno(rawValue: errno))
        }
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
                let count = cstorage_copy_range(source.rawValue, offset, copy, offset, Int(position) - Int(offset))
                if count == -Int(EINTR) { continue }
                guard count >= 0 else { throw .file(path, operation: "copy", Errno(rawValue: CInt(-count))) }
                // The image became shorter since its size was read.
                guard count > 0 else { throw .file(image, operation: "copy", .ioError) }
                offset += UInt64(count)
            }
        }
    }

    /// `SEEK_DATA` and `SEEK_HOLE`, which the Glibc module does not show.
    private static let (seekData, seekHole): (CInt, CInt) = (3, 4)
}
