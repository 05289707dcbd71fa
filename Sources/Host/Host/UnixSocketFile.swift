// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
import SystemPackage

/// The file of a socket, as it was when it was looked at.
struct UnixSocketFile {
    let isSocket: Bool
    private let path: FilePath
    private let device: dev_t
    private let inode: ino_t

    /// Examines a file; nil where there is none.
    init?(_ path: FilePath) {
        var status = stat()
        guard unsafe path.withPlatformString({ unsafe lstat($0, &status) }) == 0 else { return nil }
        self.path = path
        isSocket = status.st_mode & S_IFMT == S_IFSOCK
        (device, inode) = (status.st_dev, status.st_ino)
    }

    private init(_ file: UnixSocketFile, at path: FilePath) {
        (isSocket, self.path) = (file.isSocket, path)
        (device, inode) = (file.device, file.inode)
    }

    /// Gives the file another name.
    ///
    /// - Returns: 0, or why it failed: `EEXIST` where something has that name.
    func rename(to other: FilePath) -> CInt {
        unsafe -path.withPlatformString { from in
            unsafe other.withPlatformString { unsafe chost_rename_new(from, $0) }
        }
    }

    /// The same file after `rename(to:)`.
    func moved(to other: FilePath) -> UnixSocketFile {
        UnixSocketFile(self, at: other)
    }

    /// Removes it, unless it is another one by now, or no socket.
    func remove() {
        guard let now = UnixSocketFile(path), isSocket, now.isSocket, now.device == device, now.inode == inode
        else { return }
        unsafe path.withPlatformString { _ = unsafe unlink($0) }
    }
}
