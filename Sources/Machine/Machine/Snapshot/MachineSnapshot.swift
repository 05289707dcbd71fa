// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
package import KVM
import MachineModel
package import Snapshot
import Storage
package import SystemPackage

/// A snapshot that was opened: its state is read and whole.
package struct MachineSnapshot: Sendable {
    package let folder: SnapshotFolder
    package let machine: SavedMachine

    /// Opens a snapshot.
    ///
    /// - Parameter path: Its folder.
    /// - Throws: `SnapshotError`.
    package init(_ path: FilePath) throws(SnapshotError) {
        folder = try SnapshotFolder(path)
        machine = try folder.state(as: SavedMachine.self)
        let state = path.appending(SnapshotFile.state)
        let (size, count) = (machine.memory.byteCount, machine.vcpus.count)
        guard count == machine.guest.vcpuCount, MachineSize.vcpuCounts.contains(count) else {
            throw .damaged(state, reason: "it has \(count) vCPUs and a guest of \(machine.guest.vcpuCount)")
        }
        guard size % (1 << 20) == 0, MachineSize.minimumMemoryMiB...MachineSize.maximumMemoryMiB ~= Int(size >> 20)
        else {
            throw .damaged(state, reason: "its guest has \(size) bytes of memory")
        }
    }

    /// The description of the machine that goes on.
    ///
    /// A disk's file is the one that the caller gives, or a private copy of the one in the snapshot. No path comes from the
    /// snapshot.
    ///
    /// - Parameters:
    ///   - options: The caller's wishes.
    ///   - copies: Gets the private copies, which have to be open until the disks are.
    /// - Returns: The description.
    /// - Throws: `snapshot` for a disk that nobody has, or of another size; `configuration`.
    func configuration(
        _ options: RestoreOptions,
        copies: inout [PrivateCopy]
    ) throws(MachineError) -> MachineConfiguration {
        let guest = machine.guest
        // It is not booted: no file of the kernel is looked for.
        var configuration = MachineConfiguration(bootSource: BootSource(kernelPath: "snapshot"))
        configuration.size = MachineSize(vcpuCount: guest.vcpuCount, memoryMiB: Int(machine.memory.byteCount >> 20))
        configuration.size.hasExitStatusPort = guest.hasExitStatusPort
        configuration.entropy = guest.hasEntropyDevice ? EntropySource() : nil
        configuration.entropy?.rateLimit = guest.entropyRateLimit
        if let name = options.drives.keys.sorted().first(where: { name in !guest.drives.contains { $0.name == name } })
        {
            throw .snapshot(.drive(name, reason: "the saved machine has no such disk"))
        }
        for drive in guest.drives {
            var disk = Drive(drive.name, path: try path(of: drive, options, copies: &copies).hostText)
            (disk.isReadOnly, disk.isDirect, disk.serial) = (drive.isReadOnly, drive.isDirect, drive.serial)
            (disk.queueCount, disk.rateLimit) = (drive.queueCount, drive.rateLimit)
            configuration.drives.append(disk)
        }
        try configuration.validateForHost()
        return configuration
    }

    private func path(
        of drive: SavedDrive,
        _ options: RestoreOptions,
        copies: inout [PrivateCopy]
    ) throws(MachineError) -> FilePath {
        if let path = options.drives[drive.name] { return path }
        guard drive.isCopied else {
            throw .snapshot(
                .drive(
                    drive.name,
                    reason: "the snapshot has no copy of it: name its file with --disk PATH,drive=\(drive.name)"
                )
            )
        }
        do {
            let saved = try folder.open("\(SnapshotFile.disks)/\(drive.name)")
            guard saved.byteCount == drive.byteCount else {
                throw SnapshotError.damaged(
                    folder.path.appending(SnapshotFile.disks).appending(drive.name),
                    reason: "it has \(saved.byteCount) bytes instead of \(drive.byteCount)"
                )
            }
            let image = FilePath("/proc/self/fd/\(saved.descriptor.rawValue)")
            // In the snapshot's own file system blocks can be shared.
            let copy =
                try (try? DiskFile.privateCopy(of: image, in: folder.path))
                ?? DiskFile.privateCopy(of: image, in: Self.temporaryFolder)
            copies.append(copy)
            return copy.path
        } catch {
            throw MachineError(saving: error)
        }
    }

    private static var temporaryFolder: FilePath {
        FilePath(unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/var/tmp")
    }
}

/// The wishes of whoever lets a saved machine go on.
package struct RestoreOptions: Sendable {
    /// The time at which the guest's paravirtual clock goes on.
    package var clock = ClockContinuation.catchingUp
    /// Files for disks, by the guest's name of them, instead of those in the snapshot.
    package var drives: [String: FilePath] = [:]

    package init() {}
}
