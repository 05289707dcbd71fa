// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
import Host
import SystemPackage

/// A new folder that only this process works in: it is locked as long as this object lives, however the process ends.
///
/// So whoever can lock a folder of this kind knows that it was abandoned.
final class LockedFolder: Sendable {
    let path: FilePath
    let descriptor: OwnedDescriptor

    /// Makes the folder.
    ///
    /// - Parameter prefix: The path, before six characters that make it unique.
    /// - Throws: `Errno`.
    init(prefix: FilePath) throws(Errno) {
        var attempts = 0
        while true {
            attempts += 1
            var template = (prefix.hostText + "XXXXXX").hostCString
            guard unsafe mkdtemp(&template) != nil else { throw Errno(rawValue: errno) }
            let path = FilePath(platformString: template)
            let folder = try OwnedDescriptor(openingFolder: path)
            var status = stat()
            // Another process, which removes abandoned folders, may have been faster than the lock.
            if chost_try_lock(folder.rawValue) >= 0, unsafe fstat(folder.rawValue, &status) == 0, status.st_nlink > 0 {
                self.path = path
                descriptor = folder
                return
            }
            guard attempts < 10 else { throw .resourceBusy }
        }
    }
}

extension OwnedDescriptor {
    /// Opens a folder.
    ///
    /// - Parameters:
    ///   - path: The folder's path.
    ///   - followsLinks: Whether the path may be a symbolic link to a folder.
    /// - Throws: `Errno`.
    init(openingFolder path: FilePath, followsLinks: Bool = true) throws(Errno) {
        let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (followsLinks ? 0 : O_NOFOLLOW)
        let descriptor = unsafe path.withPlatformString { unsafe open($0, flags) }
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        self.init(adopting: descriptor)
    }

    /// Opens a folder in another one, and none behind a symbolic link.
    ///
    /// - Parameters:
    ///   - name: The folder's name.
    ///   - folder: The folder that it is in.
    /// - Throws: `Errno`.
    init(openingFolder name: String, in folder: borrowing OwnedDescriptor) throws(Errno) {
        let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
        let descriptor = unsafe openat(folder.rawValue, name.hostCString, flags)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        self.init(adopting: descriptor)
    }
}
