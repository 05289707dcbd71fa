// SPDX-License-Identifier: Apache-2.0

import Glibc
import LinuxBoot
package import MachineModel

extension MachineConfiguration {
    /// The number of virtio devices that a machine has room for.
    package static var deviceCapacity: Int { DeviceManager.capacity }

    /// The number of virtio devices that the machine has.
    private var deviceCount: Int {
        drives.count + networkInterfaces.count + (entropy == nil ? 0 : 1) + (vsock == nil ? 0 : 1)
    }

    /// Whether the machine may have one more device.
    package var hasRoomForDevice: Bool { deviceCount < Self.deviceCapacity }

    /// The size of the host's RAM in bytes.
    package static var hostMemoryByteCount: UInt64 {
        UInt64(clamping: sysconf(CInt(_SC_PHYS_PAGES))) * UInt64(clamping: sysconf(CInt(_SC_PAGESIZE)))
    }

    /// Checks all that can be checked without opening a file or KVM.
    ///
    /// - Throws: `MachineError.configuration`, which names the field.
    package func validateForHost() throws(MachineError) {
        do throws(ConfigurationError) {
            try validate()
            do throws(BootError) {
                _ = try KernelCommandLine(user: bootSource?.commandLine ?? "")
            } catch {
                throw ConfigurationError("boot-source.boot_args", "\(error)")
            }
            let excess = deviceCount - Self.deviceCapacity
            guard excess <= 0 else {
                let (field, what, count) =
                    drives.count > excess
                    ? ("drives", "disks", drives.count) : ("network-interfaces", "interfaces", networkInterfaces.count)
                throw ConfigurationError(field, "a machine has room for \(count - excess) \(what), not \(count)")
            }
            let host = Self.hostMemoryByteCount
            guard size.memoryByteCount <= host else {
                throw ConfigurationError(
                    "machine-config.mem_size_mib",
                    "this host has \(host >> 20) MiB of memory, too little for a guest of \(size.memoryMiB) MiB"
                )
            }
        } catch {
            throw .configuration(error)
        }
    }
}
