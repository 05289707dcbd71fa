// SPDX-License-Identifier: Apache-2.0

import Glibc
package import GuestMemory
import Host
import KVM
package import MachineModel
package import Snapshot
import Storage
package import SystemPackage

/// A snapshot that was opened: its state is read and whole.
package struct MachineSnapshot: Sendable {
    package let folder: SnapshotFolder
    package let machine: SavedMachine

    /// Opens a snapshot that is a folder.
    package init(_ path: FilePath) throws(SnapshotError) {
        try self.init(SnapshotPlace(folder: path))
    }

    /// Opens a snapshot.
    package init(_ place: SnapshotPlace) throws(SnapshotError) {
        try self.init(SnapshotFolder(place))
    }

    /// Reads the snapshot of a folder.
    init(_ folder: SnapshotFolder) throws(SnapshotError) {
        self.folder = folder
        machine = try folder.state(as: SavedMachine.self)
        let state = folder.place.state
        let (size, count) = (machine.configuration.size, machine.vcpus.count)
        func check(_ isRight: Bool, _ reason: String) throws(SnapshotError) {
            if !isRight { throw .damaged(state, reason: reason) }
        }
        try check(
            count == size.vcpuCount && MachineSize.vcpuCounts.contains(count),
            "it has \(count) vCPUs and a guest of \(size.vcpuCount)"
        )
        try check(
            MachineSize.minimumMemoryMiB...MachineSize.maximumMemoryMiB ~= size.memoryMiB
                && machine.memory.byteCount == size.memoryByteCount,
            "it has \(machine.memory.byteCount) bytes of memory and a guest of \(size.memoryMiB) MiB"
        )
        try check(
            machine.disks.map(\.id) == machine.configuration.orderedDrives.map(\.id),
            "its disks are not those of the machine"
        )
    }

    /// Opens the memory.
    ///
    /// - Throws: The errors of `SnapshotFolder.memory`, and `differences` for a differential snapshot.
    package func memory() throws(SnapshotError) -> MemoryFile {
        var description = machine.memory
        guard description.base != nil else { return try folder.memory(description, id: machine.id) }
        // Firecracker's tools write the differences into the file of the older memory, whose checksums tell.
        guard description.stamp != nil else { throw .differences(folder.path) }
        description.complete(extents: [0..<description.byteCount], stamp: "")
        do throws(SnapshotError) {
            return try folder.memory(description, id: machine.id)
        } catch {
            throw .differences(folder.path)
        }
    }

    /// The description of the machine that continues.
    ///
    /// A disk's file is the one that the caller gives, or a private copy of the one in the snapshot. No path comes from the
    /// snapshot.
    ///
    /// - Parameters:
    ///   - options: The caller's wishes.
    ///   - copies: Gets the private copies, which must be open until the disks are.
    /// - Returns: The description.
    /// - Throws: `snapshot` for a disk that nobody has, or of another size; `configuration`.
    func configuration(
        _ options: RestoreOptions,
        copies: inout [PrivateCopy]
    ) throws(MachineError) -> MachineConfiguration {
        var configuration = machine.configuration.saved
        // It is not booted, and no file of a kernel is opened: any kernel will do.
        configuration.bootSource = configuration.bootSource ?? BootSource(kernelPath: "unknown")
        let known = machine.disks.map(\.id)
        if let id = options.drives.keys.sorted().first(where: { !known.contains($0) }) {
            let disks = known.isEmpty ? "none" : known.joined(separator: ", ")
            throw .snapshot(.drive(id, reason: "the saved machine has no such disk; its disks: \(disks)"))
        }
        for (index, drive) in configuration.drives.enumerated() {
            guard let disk = machine.disks.first(where: { $0.id == drive.id }) else { continue }
            configuration.drives[index].path = try path(of: disk, drive, options, copies: &copies).hostText
        }
        try checkHostSides(options)
        setHostSides(of: &configuration, options)
        // Nor does anybody read the kernel's parameters.
        var unbooted = configuration
        unbooted.bootSource?.commandLine = nil
        try unbooted.validateForHost()
        return configuration
    }

    /// The description of the machine for display, with the paths that the caller gave.
    ///
    /// - Returns: The description; a private copy of a disk has the path of its original, after `private-copy:`.
    package func description(_ options: RestoreOptions) -> MachineConfiguration {
        var configuration = machine.configuration.saved
        for (index, drive) in configuration.drives.enumerated() {
            let isCopied = machine.disks.first { $0.id == drive.id }?.isCopied ?? true
            if options.usesSavedDisks, !isCopied, options.drives[drive.id] == nil { continue }
            configuration.drives[index].path =
                options.drives[drive.id]?.hostText ?? "private-copy:\(folder.place.disk(drive.id).hostText)"
        }
        setHostSides(of: &configuration, options)
        return configuration
    }

    /// Describes the guest's side of serial port, networks and vsock as it was, and the host's side as the caller wishes.
    private func setHostSides(of configuration: inout MachineConfiguration, _ options: RestoreOptions) {
        configuration.serial = options.serial
        configuration.size.hugePages = options.hugePages ?? configuration.size.hugePages
        for (index, saved) in configuration.networkInterfaces.enumerated() {
            guard let wanted = options.networks[saved.id] else { continue }
            configuration.networkInterfaces[index].hostDeviceName = wanted.hostDeviceName
            configuration.networkInterfaces[index].martlet = wanted.martlet
            // The guest knows their number.
            configuration.networkInterfaces[index].queueCount = saved.queueCount
        }
        if options.vsockPath != nil || !options.usesSavedHostSides {
            configuration.vsock?.path = options.vsockPath?.hostText
        }
    }

    /// Checks that the caller wishes for nothing that the guest has not, and that each interface leads somewhere.
    private func checkHostSides(_ options: RestoreOptions) throws(MachineError) {
        let configuration = machine.configuration
        let known = configuration.networkInterfaces.map(\.id)
        if let id = options.networks.keys.sorted().first(where: { !known.contains($0) }) {
            let interfaces = known.isEmpty ? "none" : known.joined(separator: ", ")
            throw .snapshot(
                .device(id, reason: "the saved machine has no such network interface; its interfaces: \(interfaces)")
            )
        }
        if !options.usesSavedHostSides, let id = known.first(where: { options.networks[$0] == nil }) {
            throw .snapshot(.device(id, reason: "the snapshot does not name its network: give one with --net=NETWORK"))
        }
        guard options.vsockPath == nil || configuration.vsock != nil else {
            // Firecracker's words, which its clients know.
            throw .snapshot(.device("vsock", reason: "Unknown Vsock Device: the saved machine has none"))
        }
    }

    private func path(
        of disk: SavedDisk,
        _ drive: Drive,
        _ options: RestoreOptions,
        copies: inout [PrivateCopy]
    ) throws(MachineError) -> FilePath {
        if let path = options.drives[disk.id] { return path }
        guard disk.isCopied else {
            if options.usesSavedDisks, !drive.path.isEmpty { return FilePath(hostText: drive.path) }
            let path = drive.path.isEmpty ? "PATH" : printable(drive.path)
            throw .snapshot(
                .drive(
                    disk.id,
                    reason: "the snapshot has no copy of it: name its file with --disk \(path),drive=\(disk.id)"
                )
            )
        }
        do {
            let saved = try folder.disk(disk.id, byteCount: disk.byteCount)
            let image = FilePath("/proc/self/fd/\(saved.rawValue)")
            // In the snapshot's own file system blocks can be shared.
            let copy =
                try (try? DiskFile.privateCopy(of: image, in: folder.path))
                ?? DiskFile.privateCopy(of: image, in: ProcessArguments.temporaryFolder)
            copies.append(copy)
            return copy.path
        } catch {
            throw MachineError(saving: error)
        }
    }
}

/// The options for restoring a saved machine.
package struct RestoreOptions: Sendable {
    /// Indicates whether the guest waits for `resume` first.
    package var isPaused = false
    /// Indicates whether the guest keeps its identity: it does not learn that it may be one of several machines of this snapshot.
    package var keepsIdentity = false
    /// The name that a guest which takes part in snapshots gets; `nil` for the one that it has.
    package var hostName: String?
    /// Indicates whether a guest on KVM's paravirtual clock finds the host's time, as if it had run all the time; else that
    /// of the save.
    package var followsHostClock = true
    var clock: ClockContinuation { followsHostClock ? .catchingUp : .fromSave }
    /// Files for disks, by their ids in the description, instead of those in the snapshot.
    package var drives: [String: FilePath] = [:]
    /// The host's sides of network interfaces, by their ids in the description; all else about them is as it was saved.
    package var networks: [String: NetworkInterface] = [:]
    /// The socket for connections between guest and host.
    package var vsockPath: FilePath?
    /// The host's side of the serial port, which is not saved.
    package var serial: SerialSettings?
    /// The pages that the description says are behind memory, which is in a file; `nil` for those that it said.
    package var hugePages: MachineSize.HugePages?
    /// Indicates whether what is not given is as it was saved, as Firecracker does; else an interface is missing, and a
    /// vsock leads nowhere.
    package var usesSavedHostSides = false
    /// Indicates whether a disk that the snapshot has no copy of is opened at the path that it had, as Firecracker does: the state may
    /// name any file of this process's.
    package var usesSavedDisks = false
    /// A machine of KVM's that is being made already, of this snapshot with these wishes.
    package var headStart: HeadStart?

    package init() {}
}
