// SPDX-License-Identifier: Apache-2.0

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
    /// `path` is a name that is free; an interrupted copy leaves it free. `Errno.fileExists` tells that something has the name.
    package static func copy(of image: FilePath, to path: FilePath) throws(StorageError) {
        // Looked at first to save a copy for nothing; publishing replaces nothing in any case.
        var status = stat()
        guard unsafe path.withPlatformString({ unsafe lstat($0, &status) }) != 0 else {
            throw .file(path, operation: "create", .fileExists)
        }
        let file: DraftFile
        do throws(Errno) {
            file = try DraftFile(in: path.parent)
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
    /// `path` is the name of the file, for messages. `isWanted` is asked now and then whether to go on; `Errno.canceled` tells
    /// that it was not.
    package func copy(
        to file: FileDescriptor,
        named path: FilePath,
        while isWanted: () -> Bool = { true }
    ) throws(StorageError) {
        // Opened anew, where there is /proc: O_DIRECT would want aligned buffers.
        try Self.copy(FilePath("/proc/self/fd/\(descriptor)"), to: file.rawValue, named: path, while: isWanted)
    }

    /// Copies an image's bytes to an empty file.
    ///
    /// - Parameters: as those of `copy(to:named:while:)`; `image` stays as it is.
    package static func copy(
        _ image: FilePath,
        to copy: CInt,
        named path: FilePath,
        while isWanted: () -> Bool = { true }
    ) throws(StorageError) {
        do throws(FileCopy.Failure) {
            try FileCopy.copy(image, to: FileDescriptor(rawValue: copy), while: isWanted)
        } catch {
            throw .file(error.isOfSource ? image : path, operation: error.operation, error.error)
        }
    }
}
