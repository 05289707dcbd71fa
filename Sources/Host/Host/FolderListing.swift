// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage

/// The names in a folder.
package enum FolderListing {
    /// All but `.` and `..`, in no order.
    ///
    /// - Parameter path: The folder's, as `hostText` has it.
    /// - Returns: The names, as `String(hostBytes:)` has them.
    /// - Throws: `Errno` where the folder cannot be read.
    package static func names(in path: String) throws(Errno) -> [String] {
        guard let folder = unsafe opendir(path.hostCString) else { throw Errno(rawValue: errno) }
        defer { unsafe closedir(folder) }
        var names: [String] = []
        while let entry = unsafe readdir(folder) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                unsafe String(hostBytes: Array(bytes.prefix { $0 != 0 }))
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }
}
