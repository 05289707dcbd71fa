// SPDX-License-Identifier: Apache-2.0

import Glibc
import LinuxBoot
package import MachineModel

extension MachineConfiguration {
    /// The number of virtio devices that a machine has room for: disks, and the entropy device.
    package static var deviceCapacity: Int { DeviceManager.capacity }

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
            let capacity = Self.deviceCapacity - (entropy == nil ? 0 : 1)
            guard drives.count <= capacity else {
                throw ConfigurationError("drives", "a machine has room for \(capacity) disks, not \(drives.count)")
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
