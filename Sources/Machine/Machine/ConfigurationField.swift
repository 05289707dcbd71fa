// SPDX-License-Identifier: Apache-2.0

/// The part of a `MachineConfiguration` that is wrong: each front end has a name of its own for it.
package enum ConfigurationField: Hashable, Sendable {
    case kernel
    case commandLine
    case vcpuCount
    case memory
    case root
    /// The number of disks.
    case disks
    /// A disk, by its place.
    case disk(Int, Disk)

    /// A part of a `DiskConfiguration`.
    package enum Disk: Hashable, Sendable {
        case path, identifier, queueCount
    }
}
