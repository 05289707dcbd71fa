// SPDX-License-Identifier: Apache-2.0

import Console
import Devices
import Firmware
import Glibc
import GuestMemory
import Host
import KVM
import MachineModel
import Platform
import Snapshot
import Storage
import SystemPackage
import Virtio

extension MachineParts {
    /// Saves the machine, which is paused.
    ///
    /// - Parameters:
    ///   - options: The place and the contents of the snapshot.
    ///   - isWanted: Asked now and then whether to go on: a machine that has been told to end does not wait for its save.
    /// - Returns: The rest of the save, which takes as long as the disk does: the machine may run meanwhile.
    /// - Throws: The reason why it cannot be saved; nothing has changed then.
    func save(
        _ options: SaveOptions,
        while isWanted: () -> Bool
    ) throws(MachineError) -> () throws(MachineError) -> Void {
        do {
            let draft =
                switch (options.place, options.files) {
                case (.folder(let path, _), let files?): SnapshotDraft(filling: files, of: path)
                case (.folder(let path, let isReplacing), nil): try SnapshotDraft(path, replacing: isReplacing)
                case (.files(let place), _): try SnapshotDraft(files: place)
                }
            // The devices before KVM: what they complete raises interrupts.
            let state = devices.saveState()
            let vcpus = try runners.map { try $0.state(msrs: stateMSRs) }
            let kvm = try vm.state()
            let id = Base64((0..<16).map { _ in .random(in: .min ... .max) })
            let file = try draft.makeFile(SnapshotFile.memory)
            let (base, baseID) = try base(options)
            let saved = try saveMemory(
                to: file.borrowed,
                named: draft.place.memory,
                changedFrom: base,
                while: isWanted
            )
            let whole = 0..<memory.byteCount
            let extents =
                base != nil
                ? saved.written
                : options.followsFirecracker ? [whole] : MemoryFile.dataExtents(of: file.borrowed, in: whole)
            let description = MemoryDescription(
                byteCount: memory.byteCount,
                checksums: saved.checksums,
                base: baseID,
                extents: extents,
                stamp: try draft.finishMemory(
                    file,
                    byteCount: memory.byteCount,
                    id: options.followsFirecracker ? nil : id
                )
            )
            let disks = try zip(configuration.orderedDrives, devices.disks).map {
                try save($0, $1, options.disks, to: draft, while: isWanted)
            }
            // Machines that go on from here run programs of their own: the snapshot has no input of this one's.
            var console = serialConsole?.state ?? ConsoleState()
            let sent = console.takeSent()
            let machine = SavedMachine(
                id: id,
                time: Int64(time(nil)),
                host: .current(),
                configuration: savedConfiguration,
                guest: SavedGuest(usesACPI: guestUsesACPI, reportsPanicByReset: reportsPanicByReset),
                disks: disks,
                memory: description,
                kvm: kvm,
                vcpus: vcpus,
                devices: state,
                console: console
            )
            try draft.write(StateFile.text(of: machine, console: sent), to: SnapshotFile.state)
            guard isWanted() else { throw MachineError.notRunning }
            return { () throws(MachineError) in
                do throws(SnapshotError) {
                    try draft.publish()
                } catch {
                    throw .snapshot(error)
                }
                if options.followsFirecracker { self.devices.vsock?.endConnections() }
            }
        } catch {
            if !isWanted() { throw .notRunning }
            throw MachineError(saving: error)
        }
    }

    /// The description for the snapshot, with random choices, and changes since the start.
    private var savedConfiguration: MachineConfiguration {
        var saved = configuration.saved
        for (drive, disk) in zip(configuration.orderedDrives, devices.disks) {
            guard let index = saved.drives.firstIndex(where: { $0.id == drive.id }) else { continue }
            saved.drives[index].rateLimit = disk.rateLimit
            saved.drives[index].path = disk.path.hostText
        }
        for (index, interface) in devices.interfaces.enumerated() {
            saved.networkInterfaces[index].guestMAC = "\(interface.device.address)"
            saved.networkInterfaces[index].mtu = interface.device.mtu.map(Int.init)
            let limits = interface.rateLimits
            saved.networkInterfaces[index].receiveRateLimit = limits.receive
            saved.networkInterfaces[index].sendRateLimit = limits.send
        }
        return saved
    }

    /// Opens the memory that only the differences to are saved, where that is wanted.
    private func base(_ options: SaveOptions) throws(SnapshotError) -> (MemoryFile?, Base64?) {
        guard let place = options.base else { return (nil, nil) }
        let base = try MachineSnapshot(SnapshotFolder(place, opened: options.files))
        guard base.machine.memory.byteCount == memory.byteCount else {
            throw .notASnapshot(base.folder.path, reason: "its memory is not of this machine's size")
        }
        return (try base.memory(), base.machine.id)
    }

    private func saveMemory(
        to file: FileDescriptor,
        named path: FilePath,
        changedFrom base: MemoryFile?,
        while isWanted: () -> Bool
    ) throws -> GuestMemory.Saved {
        do throws(GuestMemoryError) {
            return try memory.save(to: file, changedFrom: base, while: isWanted)
        } catch .host(_, _, let errno) {
            throw SnapshotError.file(operation: "write", path, errno)
        }
    }

    /// Copies a disk into the snapshot, where that is wanted.
    private func save(
        _ drive: Drive,
        _ disk: Disk,
        _ copies: SaveOptions.Disks,
        to draft: SnapshotDraft,
        while isWanted: () -> Bool
    ) throws -> SavedDisk {
        let isCopied = copies.include(drive)
        if isCopied {
            let name = "\(SnapshotFile.disks)/\(drive.id)"
            let file = try draft.makeFile(name)
            try disk.copy(to: file.borrowed, named: draft.place.disk(drive.id), while: isWanted)
        }
        return SavedDisk(id: drive.id, byteCount: disk.fileByteCount, isCopied: isCopied)
    }
}

extension MachineParts {
    /// Tells a restored guest that it may be one of several machines, before it runs.
    ///
    /// - Throws: `assembly` where its memory is too small for the place of the generation ID.
    static func giveIdentity(
        _ options: RestoreOptions,
        _ saved: SavedMachine,
        _ memory: GuestMemory,
        _ devices: LegacyDevices,
        _ point: SnapshotPoint?
    ) throws(MachineError) {
        guard !options.keepsIdentity else {
            point?.letGo()
            return
        }
        // A kernel without ACPI may use the memory.
        if saved.guest.usesACPI {
            do throws(FirmwareError) {
                try GenerationID.renew(in: memory)
            } catch {
                throw .assembly("\(error)")
            }
            devices.power.announceGeneration()
        }
        guard let point, point.isUsed else { return }
        var now = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &now)
        point.renewIdentity(
            time: options.followsHostClock ? (Int64(now.tv_sec), UInt32(now.tv_nsec)) : nil,
            name: options.hostName ?? ""
        )
    }

    /// Indicates whether the guest learns that it was restored, so that its random numbers become its own.
    var guestLearnsIdentity: Bool { guestUsesACPI || snapshotPoint?.isUsed ?? false }
}

extension MachineError {
    /// An error of saving or restoring, whatever part it comes from.
    init(saving error: any Error) {
        self =
            switch error {
            case let error as MachineError: error
            case let error as SnapshotError: .snapshot(error)
            case let error as KVMError: .kvm(error)
            case let error as GuestMemoryError: .memory(error)
            case let error as StorageError: .storage(error)
            default: .assembly("\(error)")
            }
    }
}
