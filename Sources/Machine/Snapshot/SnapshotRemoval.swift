// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
import Host
package import SystemPackage

/// Removes snapshots: their files and their folder, and nothing else that may be there.
package enum SnapshotRemoval {
    /// Removes what is left of saves to a path that were ended in the middle.
    ///
    /// - Parameters:
    ///   - parent: The folder that the path is in.
    ///   - prefix: The beginning of their names, before six characters.
    static func removeAbandoned(in parent: FilePath, prefix: String) {
        for name in names(in: parent) where name.hasPrefix(prefix) && name.utf8.count == prefix.utf8.count + 6 {
            let path = parent.appending(name)
            // The one that is still being written has its lock taken.
            guard let folder = try? OwnedDescriptor(openingFolder: path), chost_try_lock(folder.rawValue) >= 0 else {
                continue
            }
            remove(path)
        }
    }

    /// Removes a snapshot so that whatever interrupts this leaves it whole, or something that the next save removes.
    ///
    /// - Parameter path: The snapshot.
    /// - Throws: `notASnapshot`, `file`.
    package static func removeWhole(_ path: FilePath) throws(SnapshotError) {
        try SnapshotFolder(path).check()
        var name = Array((path.string + ".partial-XXXXXX").utf8CString)
        guard unsafe mkdtemp(&name) != nil else {
            throw .file(operation: "remove", path, Errno(rawValue: errno))
        }
        let partial = String(decoding: name.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        // The empty folder of that name goes.
        guard unsafe rename(path.string, partial) == 0 else {
            let error = Errno(rawValue: errno)
            unsafe rmdir(partial)
            throw .file(operation: "remove", path, error)
        }
        remove(FilePath(partial))
    }

    /// Removes a snapshot's files and its folder.
    ///
    /// Errors leave what cannot be removed; the folder then keeps the name of an abandoned one.
    static func remove(_ path: FilePath) {
        removeDisks(path.appending(SnapshotFile.disks))
        for name in [SnapshotFile.state, SnapshotFile.memory, SnapshotFile.console] {
            unsafe unlink(path.appending(name).string)
        }
        unsafe rmdir(path.string)
    }

    /// Removes a folder of copies of disks.
    static func removeDisks(_ folder: FilePath) {
        for name in names(in: folder) where SnapshotFile.isDiskName(name) {
            unsafe unlink(folder.appending(name).string)
        }
        unsafe rmdir(folder.string)
    }

    private static func names(in folder: FilePath) -> [String] {
        // A link in the place of the folder leads elsewhere: nothing behind it is ours.
        let descriptor = unsafe open(folder.string, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0, let stream = unsafe fdopendir(descriptor) else {
            if descriptor >= 0 { close(descriptor) }
            return []
        }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}
