// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage

extension FilePath {
    /// The same file for a process that works in another folder.
    package var absolute: FilePath {
        guard isRelative else { return self }
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        guard unsafe getcwd(&buffer, buffer.count) != nil else { return self }
        return FilePath(platformString: buffer).pushing(self)
    }
}
