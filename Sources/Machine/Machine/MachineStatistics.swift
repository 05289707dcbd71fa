// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
package import Virtio

/// The counters of a machine since it started.
package struct MachineStatistics: Hashable, Sendable {
    /// One for each vCPU, in their order.
    package var vcpus: [VCPUStatistics]
    /// One for each disk, in their order.
    package var disks: [Disk]
    /// One for each network interface, in their order.
    package var interfaces: [NetworkStatistics] = []
    /// Connections of guest and host, where there is a vsock device.
    package var vsock: VsockStatistics?
    /// The guest's output to its console.
    package var console = Console()
    /// Resident memory of the process that is not the guest's, in bytes; `nil` where the host does not tell.
    package var overheadByteCount: UInt64?
    /// Resident memory of the guest, in bytes.
    package var guestByteCount: UInt64?

    /// Numbers of bytes.
    package struct Console: Hashable, Sendable {
        /// The number of bytes that the guest sent and that were kept.
        package var byteCount: UInt64 = 0
        /// The number of those that were dropped, because the output took nothing for too long.
        package var droppedByteCount: UInt64 = 0
        /// The number of bytes beyond the rate limit of the output.
        package var limitedByteCount: UInt64 = 0
    }

    package struct Disk: Hashable, Sendable {
        package var path: FilePath
        package var requests: BlockStatistics
    }
}
