// SPDX-License-Identifier: Apache-2.0

import Glibc
import JSON
import Machine
import SystemPackage

/// All that a machine is to be made of, as it came over the API or in a file.
struct MachineResources: Hashable, Sendable {
    var bootSource: BootSource?
    var size = MachineSize()
    /// In the order in which they came.
    private(set) var drives: [Drive] = []
    var entropy: EntropySource?
    var serial: SerialConsole?

    /// Adds a disk, or changes the one with the same identifier.
    mutating func set(_ drive: Drive) throws(APIError) {
        let others = drives.filter { $0.identifier != drive.identifier }
        guard !drive.isRoot || !others.contains(where: \.isRoot) else {
            throw APIError("A root block device already exists!")
        }
        try Self.checkReadable(drive.path, "drive \(drive.identifier)")
        if let index = drives.firstIndex(where: { $0.identifier == drive.identifier }) {
            drives[index] = drive
        } else {
            drives.append(drive)
        }
    }

    /// Sets what was changed of a disk that is in use.
    mutating func update(_ identifier: String, _ change: (inout Drive) -> Void) {
        if let index = drives.firstIndex(where: { $0.identifier == identifier }) { change(&drives[index]) }
    }

    /// The disks as the guest finds them: the root first, whenever it came.
    var orderedDrives: [Drive] {
        drives.filter(\.isRoot) + drives.filter { !$0.isRoot }
    }

    /// The machine that this describes.
    ///
    /// - Returns: A configuration that is valid in itself.
    /// - Throws: `APIError` where something is missing, or cannot be.
    func configuration() throws(APIError) -> MachineConfiguration {
        guard let bootSource else {
            throw APIError("Cannot start microvm without kernel configuration.")
        }
        var configuration = MachineConfiguration(kernel: FilePath(bootSource.kernelImagePath))
        configuration.entry = bootSource.entry
        configuration.initrd = bootSource.initrdPath.map { FilePath($0) }
        configuration.imageParameters = bootSource.imageArguments
        configuration.commandLine = bootSource.bootArguments ?? ""
        configuration.isCommandLineComplete = bootSource.isCommandLineComplete
        configuration.vcpuCount = size.vcpuCount
        configuration.memoryByteCount = UInt64(size.memoryMiB) << 20
        configuration.hasExitStatusPort = size.hasExitStatusPort
        let drives = orderedDrives
        configuration.disks = drives.map(\.configuration)
        if let root = drives.first, root.isRoot {
            configuration.root = root.partitionIdentifier.map { .partition($0) } ?? .firstDisk
        } else {
            configuration.root = .unnamed
        }
        configuration.hasEntropyDevice = entropy != nil
        configuration.entropyRateLimit = entropy?.rateLimit
        do {
            try configuration.validate()
        } catch {
            throw APIError("\(error)")
        }
        return configuration
    }

    /// Says at once what would keep a file from being used at the start.
    static func checkReadable(_ path: String, _ what: String) throws(APIError) {
        guard unsafe access(path, R_OK) == 0 else {
            throw APIError("\(what): cannot open \(path): \(Errno(rawValue: errno))")
        }
    }
}
