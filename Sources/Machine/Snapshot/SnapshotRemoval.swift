// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
package import SystemPackage

/// Removes snapshots: their files and their folder, and nothing else that may be there.
///
/// Folders are held open and never reached through a symbolic link: in a folder that everybody may write, such as /tmp,
/// somebody else may have made whatever has the name of an abandoned one.
package enum SnapshotRemoval {
    /// Removes the remains of interrupted saves to a path.
    ///
    /// `prefix` is the beginning of their names, before six characters; `empty` removes the contents of one of them.
    static func removeAbandoned(
        in parent: FilePath,
        prefix: String,
        _ empty: (borrowing OwnedDescriptor) -> Void = empty
    ) {
        guard let folder = try? OwnedDescriptor(openingFolder: parent) else { return }
        removeAbandoned(in: folder, where: { LockedFolder.isName($0, withPrefix: prefix) }, empty)
    }

    /// Removes folders of this user's that no process has locked: the one that is still being written has its lock taken.
    static func removeAbandoned(
        in parent: borrowing OwnedDescriptor,
        where isMeant: (String) -> Bool,
        _ empty: (borrowing OwnedDescriptor) -> Void
    ) {
        LockedFolder.forEachAbandoned(in: parent, where: isMeant) { name, folder in
            empty(folder)
            _ = unsafe unlinkat(parent.rawValue, name.hostCString, AT_REMOVEDIR)
        }
    }

    /// Removes a snapshot so that whatever interrupts this leaves it whole, or something that the next save removes.
    package static func removeWhole(_ path: FilePath) throws(SnapshotError) {
        try check(path)
        do throws(Errno) {
            let partial = try LockedFolder(prefix: FilePath(hostText: path.hostText + ".partial-"))
            // The empty folder of that name goes.
            defer { remove(partial.path) }
            try path.rename(to: partial.path)
        } catch {
            throw .file(operation: "remove", path, error)
        }
    }

    /// Makes sure that a path is a snapshot's and that nothing else is in the folder, before it is removed or replaced.
    ///
    /// - Throws: `notASnapshot` for a folder with other files, whose owner would miss them, and for a symbolic link.
    static func check(_ path: FilePath) throws(SnapshotError) {
        var status = stat()
        if unsafe path.withPlatformString({ unsafe lstat($0, &status) }) == 0, status.st_mode & S_IFMT == S_IFLNK {
            throw .notASnapshot(path, reason: "it is a symbolic link: name the folder that it leads to")
        }
        let snapshot = try SnapshotFolder(path)
        let copies = try snapshot.diskCopies()
        var others = snapshot.names().filter { !files.contains($0) && $0 != SnapshotFile.disks }
        others += snapshot.diskNames().filter { !copies.contains($0) }.map { "\(SnapshotFile.disks)/\($0)" }
        guard let other = others.min() else { return }
        throw .notASnapshot(path, reason: "'\(other)' in it is not one of its files: move it away first")
    }

    /// Removes a snapshot's files, whatever is in them, and its folder where nothing else is in it.
    ///
    /// Errors leave what cannot be removed; the folder then keeps its name.
    ///
    /// - Parameter path: A folder of Martlet's own choice: unlike `removeWhole`, nothing makes sure that it is a snapshot.
    package static func remove(_ path: FilePath) {
        guard let folder = try? OwnedDescriptor(openingFolder: path, followsLinks: false) else { return }
        empty(folder)
        _ = unsafe path.withPlatformString { unsafe rmdir($0) }
    }

    private static let files = [SnapshotFile.state, SnapshotFile.memory]

    /// Removes a snapshot's files from its folder.
    static func empty(_ folder: borrowing OwnedDescriptor) {
        removeDisks(SnapshotFile.disks, in: folder) { SnapshotFile.isDiskName($0) }
        for name in files { _ = unsafe unlinkat(folder.rawValue, name, 0) }
    }

    /// Removes a folder of copies of disks.
    static func removeDisks(_ name: String, in parent: borrowing OwnedDescriptor, where isCopy: (String) -> Bool) {
        guard let folder = try? OwnedDescriptor(openingFolder: name, in: parent.borrowed) else { return }
        for name in names(in: folder) where isCopy(name) { _ = unsafe unlinkat(folder.rawValue, name.hostCString, 0) }
        _ = unsafe unlinkat(parent.rawValue, name.hostCString, AT_REMOVEDIR)
    }

    /// The names in a folder, as `String(hostBytes:)` has them.
    static func names(in folder: borrowing OwnedDescriptor) -> [String] {
        (try? FolderListing.names(in: folder.borrowed)) ?? []
    }
}
