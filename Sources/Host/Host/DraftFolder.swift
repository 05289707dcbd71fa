// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

/// A folder for work in progress, which only this user can enter: it goes with this object.
///
/// The next process that makes such a folder in the same place removes the one of a process that was killed.
package final class DraftFolder: Sendable {
    private let folder: LockedFolder

    package init(in parent: FilePath, prefix: String) throws(Errno) {
        if let open = try? OwnedDescriptor(openingFolder: parent) {
            LockedFolder.forEachAbandoned(in: open, where: { LockedFolder.isName($0, withPrefix: prefix) }) { name, _ in
                FolderTree.remove(FilePath(hostText: "\(parent.hostText)/\(name)"))
            }
        }
        folder = try LockedFolder(prefix: parent.appending(prefix))
    }

    package var path: FilePath { folder.path }

    deinit { FolderTree.remove(path) }
}
