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
        try unsafe names(opendir(path.hostCString))
    }

    /// The same for an open folder, also where there is no /proc.
    ///
    /// - Parameter folder: The folder; its position stays.
    /// - Returns: The names, as `String(hostBytes:)` has them.
    /// - Throws: `Errno` where the folder cannot be read.
    package static func names(in folder: FileDescriptor) throws(Errno) -> [String] {
        let again = unsafe openat(folder.rawValue, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard again >= 0 else { throw Errno(rawValue: errno) }
        let stream = unsafe fdopendir(again)
        if unsafe stream == nil { close(again) }
        return try unsafe names(stream)
    }

    private static func names(_ folder: OpaquePointer?) throws(Errno) -> [String] {
        guard let folder = unsafe folder else { throw Errno(rawValue: errno) }
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
