// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
package import SystemPackage

/// The one owner of a file descriptor: it closes the descriptor when it goes away.
package struct OwnedDescriptor: ~Copyable, Sendable {
    package let rawValue: CInt

    /// Takes over `rawValue`, which nobody else may close.
    package init(adopting rawValue: CInt) {
        self.rawValue = rawValue
    }

    /// Makes a copy of `file`, which stays open when that is closed.
    ///
    /// - Throws: `Errno`: it is not open, or the host has no descriptor left.
    package init(duplicating file: FileDescriptor, atLeast minimum: CInt = 0) throws(Errno) {
        rawValue = fcntl(file.rawValue, F_DUPFD_CLOEXEC, minimum)
        guard rawValue >= 0 else { throw Errno(rawValue: errno) }
    }

    /// The descriptor for one call; it stays owned here.
    package var borrowed: FileDescriptor {
        FileDescriptor(rawValue: rawValue)
    }

    /// Gives the descriptor away, to an owner that closes it.
    package consuming func release() -> CInt {
        let rawValue = rawValue
        discard self
        return rawValue
    }

    /// Makes a pipe whose ends are closed on exec; both are to be adopted.
    package static func makePipe() throws(Errno) -> (reading: CInt, writing: CInt) {
        var ends: [CInt] = [-1, -1]
        try hostCall { unsafe chost_pipe(&ends) }
        return (ends[0], ends[1])
    }

    deinit {
        // An error of close leaves nothing to do: the descriptor is gone in any case.
        try? FileDescriptor(rawValue: rawValue).close()
    }
}

extension OwnedDescriptor {
    /// Opens a folder.
    package init(openingFolder path: FilePath, followsLinks: Bool = true) throws(Errno) {
        try self.init(opening: path, O_RDONLY | O_DIRECTORY | (followsLinks ? 0 : O_NOFOLLOW))
    }

    /// Opens a folder in another one, but not through a symbolic link.
    package init(openingFolder name: String, in folder: FileDescriptor) throws(Errno) {
        try self.init(opening: name, in: folder, O_RDONLY | O_DIRECTORY)
    }

    /// Opens a file in a folder, but not through a symbolic link; to be closed on exec.
    ///
    /// `flags` are those of open(2). The umask takes bits away from the `mode` of a file that is made.
    package init(opening name: String, in folder: FileDescriptor, _ flags: CInt, mode: UInt32 = 0o600) throws(Errno) {
        let descriptor = unsafe openat(folder.rawValue, name.hostCString, flags | O_NOFOLLOW | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        self.init(adopting: descriptor)
    }
}
