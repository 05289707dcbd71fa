// SPDX-License-Identifier: Apache-2.0

import CHost
import CStorage
import Glibc
import Host
package import SystemPackage

/// A copy of an image that has no name and ends with its last user.
package final class PrivateCopy: Sendable {
    private let file: DraftFile

    init(_ file: consuming DraftFile) {
        self.file = file
    }

    /// The open copy, to be inherited by another process.
    package var descriptor: FileDescriptor { file.descriptor }

    /// The path by which this process alone opens the copy, by `chost_open_again`.
    package var path: FilePath { FilePath("/proc/self/fd/\(file.descriptor.rawValue)") }
}

extension DiskFile {
    /// Copies an image to a file without a name.
    ///
    /// - Parameters:
    ///   - image: The image, which stays as it is.
    ///   - folder: A folder with room for the blocks of the image.
    /// - Returns: The copy, as sparse as the image.
    /// - Throws: `StorageError.file`.
    package static func privateCopy(of image: FilePath, in folder: FilePath) throws(StorageError) -> PrivateCopy {
        let file: DraftFile
        do throws(Errno) {
            file = try DraftFile(in: folder, staysUnnamed: true)
        } catch {
            throw .file(folder, operation: "no room for a private copy of \(image)", error)
        }
        try copy(image, to: file.descriptor.rawValue, named: folder)
        return PrivateCopy(file)
    }

    /// Copies an image to a new file, which has its name when the copy is whole and on stable storage.
    ///
    /// - Parameters:
    ///   - image: The image, which stays as it is.
    ///   - path: A name that is free; an interrupted copy leaves it free.
    /// - Throws: `StorageError.file`, with `Errno.fileExists` where something has the name.
    package static func copy(of image: FilePath, to path: FilePath) throws(StorageError) {
        // Looked at first to save a copy for nothing; publishing replaces nothing in any case.
        var status = stat()
        guard unsafe path.withPlatformString({ unsafe lstat($0, &status) }) != 0 else {
            throw .file(path, operation: "create", .fileExists)
        }
        let file: DraftFile
        do throws(Errno) {
            file = try DraftFile(in: path.removingLastComponent())
        } catch {
            throw .file(path, operation: "create", error)
        }
        try copy(image, to: file.descriptor.rawValue, named: path)
        do throws(Errno) {
            try file.publish(as: path)
        } catch {
            throw .file(path, operation: "create", error)
        }
    }

    /// Copies this disk to an empty file.
    ///
    /// - Parameters:
    ///   - file: Open for writing.
    ///   - path: The name of that file, for messages.
    ///   - isWanted: Asked now and then whether to go on.
    /// - Throws: `StorageError.file`, with `Errno.canceled` where the copy is not wanted any more.
    package func copy(
        to file: FileDescriptor,
        named path: FilePath,
        while isWanted: () -> Bool = { true }
    ) throws(StorageError) {
        // Opened anew, where there is /proc: O_DIRECT would want aligned buffers.
        try Self.copy(FilePath("/proc/self/fd/\(descriptor)"), to: file.rawValue, named: path, while: isWanted)
    }

    /// The largest number of bytes that are copied in one call, which nothing interrupts.
    private static let stepByteCount = 16 << 20

    package static func copy(
        _ image: FilePath,
        to copy: CInt,
        named path: FilePath,
        while isWanted: () -> Bool = { true }
    ) throws(StorageError) {
        let file = unsafe image.withPlatformString { unsafe chost_open_again($0, O_RDONLY | O_CLOEXEC) }
        guard file >= 0 else { throw .file(image, operation: "open", Errno(rawValue: -file)) }
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
                guard isWanted() else { throw .file(path, operation: "copy", .canceled) }
                let step = min(Int(position) - Int(offset), stepByteCount)
                let count = cstorage_copy_range(source.rawValue, offset, copy, offset, step)
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
