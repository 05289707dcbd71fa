// SPDX-License-Identifier: Apache-2.0

import Glibc
import TestSupport

/// A sparse file that claims more than its file system has: a tmpfs of one megabyte.
///
/// Mounting needs the rights of root, in this process's own view of the file system.
final class DiskOnLimitedFileSystem {
    let path: String
    private let folder: TemporaryFolder

    struct CannotMount: Error, CustomStringConvertible {
        let error: CInt
        var description: String { "cannot mount a tmpfs: \(unsafe String(cString: strerror(error)))" }
    }

    init(byteCount: Int) throws {
        folder = try TemporaryFolder()
        guard unsafe mount("none", folder.path, "tmpfs", 0, "size=1m") == 0 else { throw CannotMount(error: errno) }
        path = try folder.makeSparseFile("disk", byteCount: byteCount)
    }

    deinit {
        // Also when the test still has the file open.
        unsafe umount2(folder.path, CInt(bitPattern: 2))
    }
}
