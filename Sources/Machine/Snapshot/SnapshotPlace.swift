// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
package import SystemPackage

/// The paths of a snapshot's files.
package struct SnapshotPlace: Hashable, Sendable {
    /// The file with everything but memory and disks: see `StateFile`.
    package let state: FilePath
    /// Guest memory: its regions one after the other, zeros as holes, and a last page with the snapshot's id; under the name
    /// `firecracker` without that page.
    package let memory: FilePath
    /// The folder of copies of disks, each with the disk's id for a name.
    package let disks: FilePath

    /// Names the files of a snapshot that is a folder.
    package init(folder: FilePath) {
        self.init(state: folder.appending(SnapshotFile.state), memory: folder.appending(SnapshotFile.memory))
    }

    /// Names two files, as Firecracker's API does; copies of disks are in a folder beside the state.
    package init(state: FilePath, memory: FilePath) {
        (self.state, self.memory) = (state, memory)
        let name = state.lastName
        disksName = name == SnapshotFile.state ? SnapshotFile.disks : "\(name).\(SnapshotFile.disks)"
        disks = state.parent.pushing(FilePath(hostText: disksName))
    }

    /// The name of the folder of copies of disks, which is beside the state.
    let disksName: String

    /// The size of guest memory, by that of its file; `nil` where there is none.
    package var memoryByteCount: UInt64? {
        var status = stat()
        guard unsafe memory.withPlatformString({ unsafe stat($0, &status) }) == 0 else { return nil }
        // Memory is whole MiB, and what may follow it is a page.
        return (UInt64(clamping: status.st_size) >> 20) << 20
    }

    /// The path of a disk's copy.
    package func disk(_ id: String) -> FilePath { disks.appending(id) }
}
