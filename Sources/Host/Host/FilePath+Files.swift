// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
package import SystemPackage

// Calls that System lacks; it has `FilePath.stat` and `FileDescriptor.stat`.
extension FilePath {
    /// The same file or folder by a path that is absolute and leads through no symbolic link.
    package func withoutLinks() throws(Errno) -> FilePath {
        guard let real = unsafe withPlatformString({ unsafe realpath($0, nil) }) else { throw Errno(rawValue: errno) }
        defer { unsafe free(real) }
        return unsafe FilePath(platformString: real)
    }

    /// The text of a symbolic link, as `String(hostBytes:)` has it: a `FilePath` would drop double slashes.
    ///
    /// - Throws: `Errno`; `invalidArgument` for a file that is not a link.
    package func linkTarget() throws(Errno) -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = unsafe withPlatformString { unsafe readlink($0, &buffer, buffer.count) }
        guard count >= 0 else { throw Errno(rawValue: errno) }
        return String(hostBytes: buffer.prefix(count).map(UInt8.init(bitPattern:)))
    }

    /// Indicates whether the path leads to a file of any kind.
    package var exists: Bool { allows(F_OK) }

    /// Indicates whether the path leads to a folder.
    package var isFolder: Bool { (try? stat())?.type == .directory }

    /// Indicates whether the file system is in memory (tmpfs, ramfs).
    package var isInMemory: Bool { unsafe withPlatformString { unsafe chost_is_in_memory($0) } == 1 }

    /// Checks this process's rights to a file.
    package func allows(_ rights: CInt) -> Bool {
        unsafe withPlatformString { unsafe access($0, rights) } == 0
    }

    /// Removes a file, if it is there and may be removed.
    package func removeFile() {
        _ = unsafe withPlatformString { unsafe unlink($0) }
    }

    /// Gives the file or folder another name, in place of a file or an empty folder that has it.
    package func rename(to other: FilePath) throws(Errno) {
        let result = unsafe withPlatformString { from in
            unsafe other.withPlatformString { unsafe Glibc.rename(from, $0) }
        }
        guard result == 0 else { throw Errno(rawValue: errno) }
    }
}

extension DeviceID {
    /// The number of the driver.
    package var major: UInt32 { chost_device_major(rawValue) }
    /// The number of the device among its driver's.
    package var minor: UInt32 { chost_device_minor(rawValue) }
}

extension Stat {
    /// Returns whether two names or descriptors lead to one file.
    package func isSameFile(as other: Stat) -> Bool { deviceID == other.deviceID && inode == other.inode }
}
