// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import KVM
import Platform

/// The part of a machine that follows from its size alone: memory, and KVM's machine with its interrupt controllers, timer and
/// first vCPU.
struct MachineFoundation: Sendable {
    let system: KVMSystem
    let memory: GuestMemory
    let vm: KVMVirtualMachine
    /// The places that are left.
    private(set) var resources = PlatformResources()
    private let firstVCPU: KVMVCPU

    /// Makes it.
    ///
    /// - Throws: The host's error.
    init(memory byteCount: UInt64) throws(MachineError) {
        (system, vm) = try inMachineTerms(MachineError.kvm) { () throws(KVMError) in
            let system = try KVMSystem()
            let missing = system.missing(from: Capability.required)
            guard missing.isEmpty else { throw .missingCapabilities(missing) }
            return (system, try system.makeVirtualMachine())
        }
        memory = try inMachineTerms(MachineError.memory) { () throws(GuestMemoryError) in
            try GuestMemory(byteCount: byteCount)
        }
        do throws(KVMError) {
            // Before the interrupt controllers and the timer: these register on KVM's buses, which begins an SRCU grace period,
            // and KVM_SET_USER_MEMORY_REGION would wait for its end, 4 to 7 ms.
            for region in memory.regions {
                try vm.setMemory(
                    slot: resources.allocateMemorySlot(),
                    guestAddress: region.start.rawValue,
                    byteCount: region.byteCount,
                    hostAddress: region.hostAddress
                )
            }
            try vm.reserveRealModePages(tss: X86Layout.tss.rawValue, identityMap: X86Layout.identityMap.rawValue)
            try vm.makeInterruptControllers()
            try vm.makeTimer()
            if system.value(of: .exitOnEmulationFailure) != 0 { try vm.enableExitOnEmulationFailure() }
            firstVCPU = try vm.makeVCPU(index: 0)
        } catch {
            throw .kvm(error)
        }
    }

    /// Makes the rest of a machine's vCPUs.
    ///
    /// - Throws: `KVMError` where KVM has not so many.
    func makeVCPUs(_ count: Int) throws(KVMError) -> [KVMVCPU] {
        let maximum = system.maximumVCPUCount
        guard count <= maximum else { throw .tooManyVCPUs(asked: count, maximum: maximum) }
        return [firstVCPU] + (try (1..<max(1, count)).map { index throws(KVMError) in try vm.makeVCPU(index: index) })
    }
}
