// SPDX-License-Identifier: Apache-2.0

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
    /// The description of the machine.
    package var guest: SavedGuest
    /// The memory beside the state.
    package var memory: MemoryDescription
    /// KVM's part.
    package var kvm: MachineState
    /// KVM's part of each vCPU.
    package var vcpus: [VCPUState]
    /// The devices.
    package var devices: DeviceManagerState
}

/// The description of a saved machine, and what was found out about its guest when it was booted.
package struct SavedGuest: Codable, Hashable, Sendable {
    package var vcpuCount: Int
    package var hasExitStatusPort: Bool
    package var hasEntropyDevice: Bool
    package var entropyRateLimit: RateLimit?
    /// The disks, in the order in which the guest has found them.
    package var drives: [SavedDrive]
    /// Whether the guest's kernel finds devices, and the power button, by ACPI.
    package var usesACPI: Bool
    /// Whether the guest's kernel leaves a mark in memory before it resets after a panic.
    package var reportsPanicByReset: Bool

    enum CodingKeys: String, CodingKey {
        case vcpuCount = "vcpu_count"
        case hasExitStatusPort = "exit_status_port"
        case hasEntropyDevice = "entropy"
        case entropyRateLimit = "entropy_rate_limit"
        case drives
        case usesACPI = "uses_acpi"
        case reportsPanicByReset = "reports_panic_by_reset"
    }
}

/// A disk of a saved machine; the path of its file is not kept.
package struct SavedDrive: Codable, Hashable, Sendable {
    /// The guest's name of it, `vda` for the first one, and that of its copy in the snapshot.
    package var name: String
    /// Its size in bytes.
    package var byteCount: UInt64
    package var isReadOnly: Bool
    package var isDirect: Bool
    package var serial: String?
    package var queueCount: Int
    package var rateLimit: RateLimit?
    /// Whether the snapshot has a copy of it.
    package var isCopied: Bool

    enum CodingKeys: String, CodingKey {
        case name
        case byteCount = "bytes"
        case isReadOnly = "read_only"
        case isDirect = "direct"
        case serial
        case queueCount = "queues"
        case rateLimit = "rate_limit"
        case isCopied = "copied"
    }
}
