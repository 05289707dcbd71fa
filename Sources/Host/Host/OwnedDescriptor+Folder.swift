// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage

extension OwnedDescriptor {
    /// Opens a folder.
    package init(openingFolder path: FilePath, followsLinks: Bool = true) throws(Errno) {
        try self.init(opening: path, O_RDONLY | O_DIRECTORY | (followsLinks ? 0 : O_NOFOLLOW))
    }

    /// Opens a folder in another one, but not through a symbolic link.
    package init(openingFolder name: String, in folder: borrowing OwnedDescriptor) throws(Errno) {
        let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
        let descriptor = unsafe openat(folder.rawValue, name.hostCString, flags)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        self.init(adopting: descriptor)
    }
}
