// SPDX-License-Identifier: Apache-2.0

import Host
package import SystemPackage

/// The reason why a file cannot be a disk, with the remedy.
package enum StorageError: Error, Hashable, CustomStringConvertible {
    /// A call failed.
    case file(FilePath, operation: String, Errno)
    /// Neither a regular file nor a block device.
    case notADisk(FilePath, kind: String)
    /// A file that is to take the place of another one has other blocks: path, its block size, that of the other one.
    case otherBlockSize(FilePath, Int, Int)
    /// Another machine, or another program that locks, has it.
    case inUse(FilePath, isReadOnly: Bool)
    /// A block device that refuses writes.
    case readOnlyDevice(FilePath)
    /// The file system has no direct input and output.
    case directUnsupported(FilePath)
    /// The kernel has no io_uring for us.
    case ioUringUnavailable(Errno)

    package var description: String {
        switch self {
        case .file(let path, _, .readOnlyFileSystem):
            "disk \(path) lies on a read-only file system: add ',readonly'"
        case .file(let path, "open", .permissionDenied):
            "disk \(path): permission denied; a disk that is only read needs ',readonly'"
        case .file(let path, let operation, let errno):
            "disk \(path): \(operation): \(errno.inWords)"
        case .notADisk(let path, let kind):
            "disk \(path) is a \(kind), neither a regular file nor a block device"
        case .otherBlockSize(let path, let size, let old):
            "\(path) has blocks of \(size) bytes and cannot take the place of a disk with \(old)"
        case .inUse(let path, let isReadOnly):
            "disk \(path) is in use" + (FileUser.description(of: path).map { " by \($0)" } ?? "")
                + (isReadOnly ? ", which writes it" : ": a disk can have many readers (',readonly') or one writer")
        case .readOnlyDevice(let path):
            "disk \(path) is a read-only block device: add ',readonly'"
        case .directUnsupported(let path):
            "disk \(path): its file system does not offer direct I/O: leave ',direct' out"
        case .ioUringUnavailable(.noFunction):
            "this kernel has no io_uring: use engine=threads"
        case .ioUringUnavailable(.notPermitted):
            "io_uring is not allowed here (sysctl kernel.io_uring_disabled, or seccomp): use engine=threads"
        case .ioUringUnavailable(let errno):
            "io_uring cannot be used: \(errno): use engine=threads"
        }
    }
}
