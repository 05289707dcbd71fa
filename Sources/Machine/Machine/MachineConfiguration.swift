// SPDX-License-Identifier: Apache-2.0

import Platform
import Glibc
package import LinuxBoot
package import Storage
package import SystemPackage

/// What a machine is made of: a plain value, checked by `validate` before anything is made from it.
package struct MachineConfiguration: Sendable {
    /// A bzImage or an ELF image.
    package var kernel: FilePath
    /// Which way into the kernel.
    package var entry: EntryChoice = .automatic
    /// The initial RAM disk, if any.
    package var initrd: FilePath?
    /// Kernel parameters that come before the user's: those of the guest image, as a rule.
    package var imageParameters: [String] = []
    /// The user's kernel parameters.
    package var commandLine = ""
    /// Whether `commandLine` is all that the kernel gets: none of Martlet's and the image's parameters.
    package var isCommandLineComplete = false
    /// The number of vCPUs.
    package var vcpuCount = 1
    /// The size of guest RAM in bytes.
    package var memoryByteCount: UInt64 = 128 << 20
    /// The disks, in the order in which the guest finds them.
    package var disks: [DiskConfiguration] = []
    /// Where the guest finds its root file system, unless the command line names another place.
    package var root = RootFileSystem.firstDisk
    /// Whether the guest gets random numbers from the host.
    package var hasEntropyDevice = true
    /// How fast random numbers may be taken.
    package var entropyRateLimit: RateLimit?
    /// Whether the guest can end the machine with a status of its own through `X86Layout.exitStatus`.
    package var hasExitStatusPort = false

    /// What the kernel is told of its root file system.
    package enum RootFileSystem: Hashable, Sendable {
        /// The whole first disk, if there is one.
        case firstDisk
        /// The partition of the first disk that has this identifier in its partition table.
        case partition(String)
        /// Nothing: it is in the initial RAM disk, or the command line names it.
        case unnamed
    }

    package static let vcpuCounts = 1...32
    /// How many virtio devices there may be: disks, and the entropy device.
    package static var deviceCapacity: Int { DeviceManager.capacity }
    package static let minimumMemoryByteCount: UInt64 = 16 << 20

    package init(kernel: FilePath) {
        self.kernel = kernel
    }

    /// Checks all that can be checked without opening a file or KVM.
    ///
    /// - Throws: `MachineError.configuration`, which says what to change.
    package func validate() throws(MachineError) {
        guard Self.vcpuCounts.contains(vcpuCount) else {
            throw .configuration(.vcpuCount, "a machine has 1 to \(Self.vcpuCounts.upperBound) vCPUs, not \(vcpuCount)")
        }
        guard memoryByteCount >= Self.minimumMemoryByteCount else {
            throw .configuration(
                .memory,
                "a guest needs at least \(Self.minimumMemoryByteCount >> 20) MiB of memory, not \(memoryText)"
            )
        }
        guard memoryByteCount % 4096 == 0 else {
            throw .configuration(.memory, "guest memory must be whole pages of 4 KiB, \(memoryByteCount) bytes are not")
        }
        guard attachedDeviceCount <= DeviceManager.capacity else {
            let capacity = DeviceManager.capacity - (attachedDeviceCount - disks.count)
            throw .configuration(.disks, "a machine has room for \(capacity) disks, not \(disks.count)")
        }
        for (index, disk) in disks.enumerated() { try disk.validate(asDisk: index) }
        try validateKernel()
        if case .partition(let identifier) = root {
            // It becomes a word of the command line.
            guard !identifier.isEmpty, identifier.allSatisfy({ $0.isASCII && ($0.isHexDigit || $0 == "-") }) else {
                throw .configuration(
                    .root,
                    "'\(identifier)' is no identifier of a partition: hexadecimal digits and hyphens"
                )
            }
        }
        let host = Self.hostMemoryByteCount
        guard memoryByteCount <= host else {
            throw .configuration(
                .memory,
                "this host has \(host >> 20) MiB of memory, too little for a guest of \(memoryText)"
            )
        }
    }

    /// How many virtio devices there are, each of which needs an interrupt line.
    private var attachedDeviceCount: Int {
        disks.count + (hasEntropyDevice ? 1 : 0)
    }

    private func validateKernel() throws(MachineError) {
        guard !kernel.isEmpty else { throw .configuration(.kernel, "the path of the kernel is empty") }
        do throws(BootError) {
            _ = try KernelCommandLine(user: commandLine)
        } catch {
            throw .configuration(.commandLine, "\(error)")
        }
    }

    private var memoryText: String {
        memoryByteCount % (1 << 20) == 0 ? "\(memoryByteCount >> 20) MiB" : "\(memoryByteCount) bytes"
    }

    /// The size of the host's RAM in bytes.
    package static var hostMemoryByteCount: UInt64 {
        UInt64(clamping: sysconf(CInt(_SC_PHYS_PAGES))) * UInt64(clamping: sysconf(CInt(_SC_PAGESIZE)))
    }
}
