// SPDX-License-Identifier: Apache-2.0

import Glibc
import GuestMemory
import Host
import KVM
import MachineModel
import Snapshot
import Storage
import SystemPackage

extension MachineParts {
    /// Saves the machine, all of which stands still.
    ///
    /// - Parameters:
    ///   - path: The snapshot's folder.
    ///   - isReplacing: Whether a snapshot that is there may be replaced.
    /// - Throws: What keeps it from being saved; then nothing has changed.
    func save(to path: FilePath, replacing isReplacing: Bool) throws(MachineError) {
        do {
            let draft = try SnapshotDraft(path, replacing: isReplacing)
            // The devices before KVM: what they complete raises interrupts.
            let state = devices.saveState()
            let vcpus = try runners.map { try $0.state(msrs: stateMSRs) }
            let kvm = try vm.state()
            let id = Base64((0..<16).map { _ in .random(in: .min ... .max) })
            let file = try draft.makeFile(SnapshotFile.memory)
            let checksums = try memory.save(to: file.borrowed)
            try draft.finishMemory(file, byteCount: memory.byteCount, id: id)
            let drives = try zip(configuration.orderedDrives, devices.disks).map { try save($0, $1, to: draft) }
            let saved = SavedMachine(
                id: id,
                time: Int64(time(nil)),
                host: .current(),
                guest: SavedGuest(
                    vcpuCount: vcpus.count,
                    hasExitStatusPort: configuration.size.hasExitStatusPort,
                    hasEntropyDevice: configuration.entropy != nil,
                    entropyRateLimit: configuration.entropy?.rateLimit,
                    drives: drives,
                    usesACPI: guestUsesACPI,
                    reportsPanicByReset: reportsPanicByReset
                ),
                memory: MemoryDescription(byteCount: memory.byteCount, checksums: checksums),
                kvm: kvm,
                vcpus: vcpus,
                devices: state
            )
            try draft.write(StateFile.text(of: saved), to: SnapshotFile.state)
            try draft.publish()
        } catch {
            throw MachineError(saving: error)
        }
    }

    /// Copies a disk that the guest can write to into the snapshot.
    private func save(
        _ wanted: Drive,
        _ disk: Disk,
        to draft: SnapshotDraft
    ) throws -> SavedDrive {
        let name = disk.id.name
        let isCopied = !wanted.isReadOnly
        if isCopied {
            let file = try draft.makeFile("\(SnapshotFile.disks)/\(name)")
            try disk.copy(to: file.borrowed, named: draft.path.appending("\(SnapshotFile.disks)/\(name)"))
            try draft.finish(file, "\(SnapshotFile.disks)/\(name)")
        }
        return SavedDrive(
            name: name,
            byteCount: disk.fileByteCount,
            isReadOnly: wanted.isReadOnly,
            isDirect: wanted.isDirect,
            serial: wanted.serial,
            queueCount: wanted.queueCount,
            rateLimit: wanted.rateLimit,
            isCopied: isCopied
        )
    }

    /// Makes KVM's part that of a saved machine, before anything runs.
    ///
    /// - Parameters:
    ///   - saved: May come from anybody.
    ///   - system: The host's KVM.
    ///   - vm: The new machine, with its memory.
    ///   - clock: How its paravirtual clock goes on.
    ///   - vcpus: Its vCPUs, which never ran.
    /// - Throws: `snapshot` with every difference of the hosts, `kvm`.
    static func restore(
        _ saved: SavedMachine,
        _ system: KVMSystem,
        _ vm: KVMVirtualMachine,
        clock: ClockContinuation,
        vcpus: [KVMVCPU]
    ) throws(MachineError) {
        do {
            let host = HostDescription.current()
            // A probe of the counter costs a little, and in the same boot nothing depends on it.
            let canSet = try saved.host.bootID == host.bootID || vcpus.first?.canSetTimeStampCounter() ?? false
            let check = HostCheck(
                host: host,
                supported: try system.supportedCPUID(),
                timeStampKilohertz: vcpus.first?.timeStampKilohertz ?? 0,
                canScaleTimeStampCounter: system.value(of: .tscControl) != 0,
                canSetTimeStampCounter: canSet
            )
            let differences = check.differences(
                from: saved.host,
                cpuid: try saved.vcpus.first?.savedCPUID() ?? [],
                timeStampKilohertz: saved.vcpus.first?.timeStampKilohertz ?? 0
            )
            guard differences.isEmpty else { throw SnapshotError.host(differences) }
            try vm.restore(saved.kvm, clock: clock)
            for (vcpu, state) in zip(vcpus, saved.vcpus) { try vcpu.restore(state) }
            if let first = vcpus.first {
                for vcpu in vcpus.dropFirst() { vcpu.synchronizeTimeStampCounter(with: first) }
            }
        } catch {
            throw MachineError(saving: error)
        }
    }
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
