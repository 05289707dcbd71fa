// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage

/// The file of a socket, as it was when it was looked at.
struct UnixSocketFile {
    let isSocket: Bool
    private let path: FilePath
    private let device: dev_t
    private let inode: ino_t

    /// Looks at a file; nil where there is none.
    init?(_ path: FilePath) {
        var status = stat()
        guard unsafe path.withPlatformString({ unsafe lstat($0, &status) }) == 0 else { return nil }
        self.path = path
        isSocket = status.st_mode & S_IFMT == S_IFSOCK
        (device, inode) = (status.st_dev, status.st_ino)
    }

    /// Removes it, unless it is another one by now, or no socket.
    func remove() {
        guard let now = UnixSocketFile(path), isSocket, now.isSocket, now.device == device, now.inode == inode
        else { return }
        unsafe path.withPlatformString { _ = unsafe unlink($0) }
    }
}
