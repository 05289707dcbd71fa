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
