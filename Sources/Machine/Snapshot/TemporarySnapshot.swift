// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
package import SystemPackage

/// The place of a snapshot for the time that machines take to start from it: their memory stays when its name goes.
///
/// The next process that makes such a place in the same folder removes the one of a process that was killed.
package final class TemporarySnapshot: Sendable {
    /// The path of the snapshot, where nothing is yet.
    package let path: FilePath
    private let folder: LockedFolder
    private static let prefix = "martlet-clone-"

    /// Makes the place.
    ///
    /// - Parameter parent: A folder on a file system with room for the snapshot.
    /// - Throws: `SnapshotError.file`.
    package init(in parent: FilePath) throws(SnapshotError) {
        SnapshotRemoval.removeAbandoned(in: parent, prefix: Self.prefix, Self.empty)
        do throws(Errno) {
            folder = try LockedFolder(prefix: parent.appending(Self.prefix))
        } catch {
            throw .file(operation: "make a folder in", parent, error)
        }
        path = folder.path.appending("snapshot")
    }

    /// Removes the snapshot and its place; from any thread, and any number of times.
    package func remove() {
        Self.empty(folder.descriptor)
        _ = unsafe folder.path.withPlatformString { unsafe rmdir($0) }
    }

    deinit { remove() }

    /// Removes the snapshot, and the remains of an interrupted save; a running one is left alone.
    private static func empty(_ folder: borrowing OwnedDescriptor) {
        SnapshotRemoval.removeAbandoned(in: folder, where: { $0.hasPrefix("snapshot") }, SnapshotRemoval.empty)
    }
}
