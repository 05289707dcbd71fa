// SPDX-License-Identifier: Apache-2.0

import Machine
import SystemPackage

/// What a machine is made of: a plain value, which ``validate()`` checks.
///
/// Only ``bootLoader`` has to be chosen.
public struct VirtualMachineConfiguration: Hashable, Sendable {
    /// The kernel, and what it is given.
    public var bootLoader: LinuxBootLoader

    /// The number of vCPUs, from ``minimumAllowedCPUCount`` to ``maximumAllowedCPUCount``.
    public var cpuCount = 1

    /// The size of the guest's memory in bytes: whole pages of 4 KiB.
    ///
    /// The host gives it page by page, as the guest touches it.
    public var memorySize: UInt64 = 128 << 20

    /// The disks, in the order in which the guest finds them: `/dev/vda`, `/dev/vdb` and so on in Linux.
    ///
    /// There may be ``maximumAllowedStorageDeviceCount``, and one less where there is an ``entropyDevice``.
    public var storageDevices: [DiskImageConfiguration] = []

    /// Gives the guest random numbers of the host's; `nil` for no such device.
    public var entropyDevice: EntropyDeviceConfiguration? = EntropyDeviceConfiguration()

    /// Where the serial console leads: `ttyS0` in Linux.
    public var serialConsole = SerialConsoleAttachment.stream

    /// Whether the guest can end the machine with a status of its own, by a write of one byte to I/O port 0x501.
    public var hasExitStatusPort = false

    /// The smallest number of vCPUs.
    public static var minimumAllowedCPUCount: Int { MachineConfiguration.vcpuCounts.lowerBound }

    /// The largest number of vCPUs; it may be more than the host has processors.
    public static var maximumAllowedCPUCount: Int { MachineConfiguration.vcpuCounts.upperBound }

    /// The least memory of a machine, in bytes.
    public static var minimumAllowedMemorySize: UInt64 { MachineConfiguration.minimumMemoryByteCount }

    /// The most memory of a machine on this host, in bytes: all that the host has.
    public static var maximumAllowedMemorySize: UInt64 { MachineConfiguration.hostMemoryByteCount }

    /// The largest number of disks.
    public static var maximumAllowedStorageDeviceCount: Int { MachineConfiguration.deviceCapacity }

    /// Describes a machine with one vCPU, 128 MiB of memory, an entropy device and no disk.
    ///
    /// - Parameter bootLoader: The kernel, and what it is given.
    public init(bootLoader: LinuxBootLoader) {
        self.bootLoader = bootLoader
    }

    /// Checks all that can be checked without opening a file.
    ///
    /// - Throws: ``MartletError`` with the code ``MartletError/Code/invalidConfiguration``, which says what to change,
    ///   and where: ``MartletError/property``.
    public func validate() throws(MartletError) {
        let machine = try machineConfiguration()
        try inPublicTerms { () throws(MachineError) in try machine.validate() }
    }

    /// The same for `Machine`, not validated.
    func machineConfiguration() throws(MartletError) -> MachineConfiguration {
        let kernel = try FilePath(checking: bootLoader.kernelPath, of: "bootLoader.kernelPath")
        var machine = MachineConfiguration(kernel: kernel)
        if let path = bootLoader.initialRamdiskPath {
            machine.initrd = try FilePath(checking: path, of: "bootLoader.initialRamdiskPath")
        }
        machine.commandLine = bootLoader.commandLine
        machine.isCommandLineComplete = !bootLoader.addsDefaultParameters
        machine.vcpuCount = cpuCount
        machine.memoryByteCount = memorySize
        for (index, device) in storageDevices.enumerated() {
            let path = try FilePath(checking: device.path, of: "storageDevices[\(index)].path")
            machine.disks.append(device.diskConfiguration(at: path))
        }
        machine.entry = bootLoader.entryChoice
        machine.root = bootLoader.machineRoot
        machine.hasEntropyDevice = entropyDevice != nil
        machine.entropyRateLimit = entropyDevice?.rateLimit?.storageLimit
        machine.hasExitStatusPort = hasExitStatusPort
        return machine
    }
}
