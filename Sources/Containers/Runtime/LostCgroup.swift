// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import SystemPackage

/// The empty cgroups of a container whose `create` was killed: runc, which made them before its own note of the container, knows
/// nothing of them.
enum LostCgroup {
    private static let folder: FilePath = "/sys/fs/cgroup"

    /// Removes the groups of a container that is gone; one with processes or other groups in it stays.
    ///
    /// - Parameter path: `linux.cgroupsPath` of its configuration; systemd removes those that it names in its own way.
    static func remove(_ path: String) {
        let parts = path.pathComponents.dropFirst()
        guard path.utf8.first == UInt8(ascii: "/"), !parts.allSatisfy(\.isEmpty), !parts.contains("..") else { return }
        let name = parts.joined(separator: "/")
        // Version 2 has one tree, version 1 one for each controller.
        let trees = [folder] + ((try? FolderListing.names(in: folder.hostText)) ?? []).map { folder.appending($0) }
        for tree in trees {
            let group = tree.pushing(FilePath(hostText: name))
            // The processes that runc had started in it are ending.
            for _ in 0..<50 where unsafe group.withPlatformString({ unsafe rmdir($0) }) != 0 && errno == EBUSY {
                usleep(10_000)
            }
        }
    }
}
