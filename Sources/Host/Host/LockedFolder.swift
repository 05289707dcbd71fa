// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
package import SystemPackage

/// A new folder that only this process works in: it is locked as long as this object lives, however the process ends.
///
/// So a process that can lock a folder of this kind knows that it was abandoned.
package final class LockedFolder: Sendable {
    package let path: FilePath
    package let descriptor: OwnedDescriptor

    /// Makes the folder.
    ///
    /// - Parameter prefix: The path, before six characters that make it unique.
    /// - Throws: `Errno`.
    package init(prefix: FilePath) throws(Errno) {
        var attempts = 0
        while true {
            attempts += 1
            var template = (prefix.hostText + "XXXXXX").hostCString
            guard unsafe mkdtemp(&template) != nil else { throw Errno(rawValue: errno) }
            let path = FilePath(platformString: template)
            let folder = try OwnedDescriptor(openingFolder: path, followsLinks: false)
            // Whoever may write the folder above may have put another one, or a link, in its place.
            guard let status = try? folder.borrowed.stat(), status.userID.rawValue == geteuid(),
                status.permissions.isDisjoint(with: [.groupReadWriteExecute, .otherReadWriteExecute])
            else { throw .permissionDenied }
            // Another process, which removes abandoned folders, may have been faster than the lock.
            if chost_try_lock(folder.rawValue) >= 0, (try? folder.borrowed.stat())?.linkCount ?? 0 > 0 {
                self.path = path
                descriptor = folder
                return
            }
            guard attempts < 10 else { throw .resourceBusy }
        }
    }

    /// Goes through the folders of this user's that no process has locked.
    ///
    /// It follows no symbolic link: in a folder that everybody may write, such as /tmp, somebody else may have made
    /// whatever has the name of an abandoned one.
    ///
    /// `isMeant` tells by its name whether a folder is meant; `body` gets it locked.
    package static func forEachAbandoned(
        in parent: borrowing OwnedDescriptor,
        where isMeant: (String) -> Bool,
        _ body: (String, borrowing OwnedDescriptor) -> Void
    ) {
        for name in (try? FolderListing.names(in: parent.borrowed)) ?? [] where isMeant(name) {
            guard let folder = try? OwnedDescriptor(openingFolder: name, in: parent.borrowed) else { continue }
            guard (try? folder.borrowed.stat())?.userID.rawValue == geteuid(), chost_try_lock(folder.rawValue) >= 0
            else { continue }
            body(name, folder)
        }
    }

    /// Tells whether `init(prefix:)` may have made a name with this prefix.
    package static func isName(_ name: String, withPrefix prefix: String) -> Bool {
        name.hasPrefix(prefix) && name.utf8.count == prefix.utf8.count + 6
    }
}
