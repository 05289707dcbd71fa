// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import KVM
import Snapshot

extension MachineFoundation {
    /// Restores memory, interrupt controllers, timer and vCPUs from a snapshot, before anything runs.
    ///
    /// - Parameters:
    ///   - snapshot: May come from anybody; its memory has the size of this one.
    ///   - clock: How the guest's paravirtual clock continues.
    ///   - host: This host.
    /// - Returns: The vCPUs.
    /// - Throws: `snapshot` with every difference of the hosts, and the host's errors.
    func restore(
        _ snapshot: MachineSnapshot,
        clock: ClockContinuation,
        host: HostDescription = .current()
    ) throws(MachineError) -> [KVMVCPU] {
        let saved = snapshot.machine
        do {
            let file = try snapshot.memory()
            let vcpus = try makeVCPUs(saved.vcpus.count)
            // Before the vCPUs' state, of which KVM writes some there.
            try memory.begin(with: file)
            try Self.check(saved, on: host, system, vcpus.first)
            try vm.restore(saved.kvm, clock: clock)
            for (vcpu, state) in zip(vcpus, saved.vcpus) { try vcpu.restore(state) }
            if let first = vcpus.first {
                for vcpu in vcpus.dropFirst() { vcpu.synchronizeTimeStampCounter(with: first) }
            }
            return vcpus
        } catch {
            throw MachineError(saving: error)
        }
    }

    /// Checks that the machine can go on here.
    ///
    /// - Throws: `SnapshotError.host` with every difference of the hosts.
    private static func check(
        _ saved: SavedMachine,
        on host: HostDescription,
        _ system: KVMSystem,
        _ vcpu: KVMVCPU?
    ) throws {
        // A probe of the counter costs a little, and in the same boot nothing depends on it.
        let canSet = try saved.host.bootID == host.bootID || vcpu?.canSetTimeStampCounter() ?? false
        // The same processor, kernel and boot give what they gave, and the question takes KVM up to half a millisecond.
        let supported = saved.host == host ? nil : try system.supportedCPUID()
        let check = HostCheck(
            host: host,
            supported: supported,
            timeStampKilohertz: vcpu?.timeStampKilohertz ?? 0,
            canScaleTimeStampCounter: system.value(of: .tscControl) != 0,
            canSetTimeStampCounter: canSet
        )
        let differences = check.differences(
            from: saved.host,
            cpuid: try saved.vcpus.first?.savedCPUID() ?? [],
            timeStampKilohertz: saved.vcpus.first?.timeStampKilohertz ?? 0
        )
        guard differences.isEmpty else { throw SnapshotError.host(differences) }
    }
}
