// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
package import SystemPackage

/// A new file that gets its name when it is whole, so that an interrupted write leaves nothing under that name.
package struct DraftFile: ~Copyable, Sendable {
    private let owned: OwnedDescriptor
    /// The name that the file has until then, on a file system without `O_TMPFILE`.
    private let temporaryPath: FilePath?

    /// Makes an empty file that only its owner may read and write.
    ///
    /// - Parameters:
    ///   - folder: The folder that will hold the file; an empty path is the working folder.
    ///   - staysUnnamed: Whether the file never gets a name; it then ends with its last descriptor.
    /// - Throws: `Errno`.
    package init(in folder: FilePath, staysUnnamed: Bool = false) throws(Errno) {
        let folder = folder.isEmpty ? "." : folder
        // A name is given by way of /proc, which a jail lacks.
        let canName = FilePath("/proc/self/fd").allows(X_OK)
        var file =
            !staysUnnamed && !canName ? -EOPNOTSUPP : unsafe folder.withPlatformString { unsafe chost_unnamed_file($0) }
        var name: FilePath?
        // A file system or kernel without O_TMPFILE.
        if file == -EOPNOTSUPP || file == -EISDIR {
            let path = folder.appending(".martlet-\(String(UInt64.random(in: .min ... .max), radix: 16))")
            let flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW
            file = unsafe path.withPlatformString { unsafe open($0, flags, 0o600) }
            guard file >= 0 else { throw Errno(rawValue: errno) }
            if staysUnnamed { path.removeFile() } else { name = path }
        }
        guard file >= 0 else { throw Errno(rawValue: -file) }
        owned = OwnedDescriptor(adopting: file)
        temporaryPath = name
    }

    deinit {
        // Gone already where the file got its name.
        if let temporaryPath { temporaryPath.removeFile() }
    }

    /// The open file, which stays owned here.
    package var descriptor: FileDescriptor { owned.borrowed }

    /// Gives the file its name.
    ///
    /// - Parameters:
    ///   - path: The name, in the folder that the file was made for.
    ///   - isDurable: Whether file and name are on stable storage then: not for what means nothing after the host's boot.
    /// - Throws: `Errno`, such as `fileExists`: nothing is replaced.
    package func publish(as path: FilePath, isDurable: Bool = true) throws(Errno) {
        guard !isDurable || fsync(owned.rawValue) == 0 else { throw Errno(rawValue: errno) }
        try hostCall {
            unsafe path.withPlatformString { name in
                guard let temporaryPath else { return unsafe chost_name_file(owned.rawValue, name) }
                return unsafe temporaryPath.withPlatformString { unsafe chost_rename_new($0, name) }
            }
        }
        guard isDurable else { return }
        // The name is as durable as the bytes, as far as the file system can do that.
        if let parent = try? OwnedDescriptor(openingFolder: path.parent) { _ = fsync(parent.rawValue) }
    }
}
