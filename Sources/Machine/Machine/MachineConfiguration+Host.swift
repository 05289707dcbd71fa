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

    /// Indicates whether the machine may have one more device.
    package var hasRoomForDevice: Bool { deviceCount < Self.deviceCapacity }

    /// The size of the host's RAM in bytes.
    package static var hostMemoryByteCount: UInt64 {
        UInt64(clamping: sysconf(CInt(_SC_PHYS_PAGES))) * UInt64(clamping: sysconf(CInt(_SC_PAGESIZE)))
    }

    /// The largest guest memory that fits into a process, in MiB: half of its 47 bits of addresses.
    package static var addressedMiB: Int { 1 << 26 }

    /// Checks everything that can be checked without opening a file or KVM.
    package func validateForHost() throws(MachineError) {
        do throws(ConfigurationError) {
            try validate()
            do throws(BootError) {
                if let text = bootSource?.commandLine { _ = try KernelCommandLine(user: text) }
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
            guard size.requestedMiB <= Self.addressedMiB else {
                throw ConfigurationError(
                    "machine-config.mem_size_mib",
                    "a process has addresses for \(Self.addressedMiB >> 20) TiB, not for \(size.requestedMiB) MiB"
                )
            }
        } catch {
            throw .configuration(error)
        }
    }

    /// Notes for the user on a configuration that exceeds the host: one line each.
    var notes: [String] {
        var notes: [String] = []
        let host = Self.hostMemoryByteCount
        if size.memoryByteCount > host {
            notes.append(
                "the guest has \(size.memoryMiB) MiB of memory, and this host \(host >> 20) MiB: the machine ends if it uses more than is free"
            )
        }
        if let template = size.cpuTemplate, template != .none {
            notes.append(
                "machine-config.cpu_template: '\(template.rawValue)' has no effect; the guest sees the host's CPU"
            )
        }
        return notes
    }
}
