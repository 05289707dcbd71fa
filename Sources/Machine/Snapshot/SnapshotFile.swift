// SPDX-License-Identifier: Apache-2.0

/// The files of a snapshot's folder.
package enum SnapshotFile {
    /// Everything but memory and disks: see `StateFile`.
    package static let state = "state"
    /// Guest memory: its regions one after the other, zeros as holes, and a last page with the snapshot's id.
    package static let memory = "memory"
    /// The folder of copies of disks, each with the disk's id for a name.
    package static let disks = "disks"

    /// Tells whether a file of a snapshot can have this name, which may come from a guest's monitor.
    static func isName(_ name: String) -> Bool {
        name == state || name == memory
            || name.hasPrefix(disks + "/") && isDiskName(String(name.dropFirst(disks.utf8.count + 1)))
    }

    /// Tells whether a disk's id can be the name of a file in `disks`: letters, digits and underscores, as the API has it.
    package static func isDiskName(_ id: String) -> Bool {
        (1...64).contains(id.utf8.count)
            && id.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"): true
                default: false
                }
            }
    }
}
