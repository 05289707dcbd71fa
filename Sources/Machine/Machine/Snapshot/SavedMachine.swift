// SPDX-License-Identifier: Apache-2.0

package import Console
package import Host
package import KVM
package import MachineModel
package import Snapshot

/// The value in a snapshot's `state`: a whole machine but for its memory and its disks.
///
/// It may come from anybody. Addresses and interrupt lines are not in it: they follow from the description of the machine, as
/// at a boot.
package struct SavedMachine: Codable, Hashable, Sendable {
    /// The snapshot's own number, which its memory has too: 16 random bytes.
    package var id: Base64
    /// The seconds since 1970 at which it was saved.
    package var time: Int64
    /// The host that it was saved on.
    package var host: HostDescription
    /// The description of the machine, whose paths are for information only.
    package var configuration: MachineConfiguration
    /// The facts about its guest.
    package var guest: SavedGuest
    /// The files of its disks, in the order in which the guest has found them.
    package var disks: [SavedDisk]
    /// The memory beside the state.
    package var memory: MemoryDescription
    /// KVM's part.
    package var kvm: MachineState
    /// KVM's part of each vCPU.
    package var vcpus: [VCPUState]
    /// The devices.
    package var devices: DeviceManagerState
    /// The console: `nil` in snapshots of before it was kept.
    package var console: ConsoleState?
}

/// The facts about a guest that were found when it was booted.
package struct SavedGuest: Codable, Hashable, Sendable {
    /// Indicates whether the guest's kernel finds devices, and the power button, by ACPI.
    package var usesACPI: Bool
    /// Indicates whether the guest's kernel leaves a mark in memory before it resets after a panic.
    package var reportsPanicByReset: Bool

    enum CodingKeys: String, CodingKey {
        case usesACPI = "uses_acpi"
        case reportsPanicByReset = "reports_panic_by_reset"
    }
}

/// The file of a disk, as it was when the machine was saved.
package struct SavedDisk: Codable, Hashable, Sendable {
    /// The disk's name in the description, and that of its copy in the snapshot.
    package var id: String
    /// The size of its file in bytes.
    package var byteCount: UInt64
    /// Indicates whether the snapshot has a copy of it.
    package var isCopied: Bool

    package init(id: String, byteCount: UInt64, isCopied: Bool) {
        (self.id, self.byteCount, self.isCopied) = (id, byteCount, isCopied)
    }

    enum CodingKeys: String, CodingKey {
        case id = "drive_id"
        case byteCount = "bytes"
        case isCopied = "copied"
    }
}

extension MachineConfiguration {
    /// The description in a snapshot: without the files of this host that the machine writes to.
    ///
    /// The paths of the kernel and of disks stay, to show where the machine came from. A restore opens none of them.
    var saved: MachineConfiguration {
        var saved = self
        (saved.serial, saved.logger, saved.metrics) = (nil, nil, nil)
        return saved
    }
}
