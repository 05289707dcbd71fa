// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
import SystemPackage

/// The file of a socket, as it was when it was looked at.
struct UnixSocketFile {
    private let path: FilePath
    private let status: Stat
    var isSocket: Bool { status.type == .socket }

    /// Examines a file; nil where there is none.
    init?(_ path: FilePath) {
        guard let status = try? path.stat(followTargetSymlink: false) else { return nil }
        (self.path, self.status) = (path, status)
    }

    private init(_ file: UnixSocketFile, at path: FilePath) {
        (self.path, status) = (path, file.status)
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
        guard isSocket, let now = UnixSocketFile(path), now.isSocket, now.status.isSameFile(as: status) else { return }
        path.removeFile()
    }
}
