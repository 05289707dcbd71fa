// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage

extension FilePath {
    /// The same file or folder by a path that is absolute and leads through no symbolic link.
    ///
    /// - Throws: `Errno` where it is not there or cannot be reached.
    package func withoutLinks() throws(Errno) -> FilePath {
        guard let real = unsafe withPlatformString({ unsafe realpath($0, nil) }) else { throw Errno(rawValue: errno) }
        defer { unsafe free(real) }
        return unsafe FilePath(platformString: real)
    }
}
