// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage

/// Folders that come and go as a whole.
package enum FolderTree {
    /// Makes a folder, and those above it that are not there.
    ///
    /// An existing folder is left as it is. The umask takes bits away from `mode`.
    package static func make(_ path: FilePath, mode: CInterop.Mode = 0o755) throws(Errno) {
        guard unsafe path.withPlatformString({ unsafe mkdir($0, mode) }) != 0, errno != EEXIST else { return }
        let error = Errno(rawValue: errno)
        let parent = path.parent
        guard error == .noSuchFileOrDirectory, parent != path else { throw error }
        try make(parent, mode: mode)
        guard unsafe path.withPlatformString({ unsafe mkdir($0, mode) }) == 0 || errno == EEXIST else {
            throw Errno(rawValue: errno)
        }
    }

    /// Removes a file, or a folder with all that is in it, as far as that can be.
    ///
    /// It follows no link and leaves the file system of `path` nowhere.
    package static func remove(_ path: FilePath) {
        remove(path, on: nil)
    }

    private static func remove(_ path: FilePath, on device: DeviceID?) {
        if unsafe path.withPlatformString({ unsafe unlink($0) }) == 0 { return }
        guard let status = try? path.stat(followTargetSymlink: false), status.type == .directory,
            device == nil || device == status.deviceID
        else {
            return
        }
        // A folder may be closed to its owner.
        if geteuid() != 0 { _ = unsafe path.withPlatformString { unsafe chmod($0, 0o700) } }
        for name in (try? FolderListing.names(in: path.hostText)) ?? [] {
            remove(FilePath(hostText: path.hostText + "/" + name), on: status.deviceID)
        }
        _ = unsafe path.withPlatformString { unsafe rmdir($0) }
    }
}
