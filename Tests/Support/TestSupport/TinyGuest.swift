// SPDX-License-Identifier: Apache-2.0

import CKVM
package import GuestMemory
package import KVM

/// A virtual machine of 64 KiB and one vCPU that runs a few bytes of real-mode code.
package final class TinyGuest: Sendable {
    /// The address of the code's start.
    package static let entry: UInt64 = 0x1000

    package let memory: GuestMemory
    package let vm: KVMVirtualMachine
    package let vcpu: KVMVCPU

    /// - Parameters:
    ///   - code: 16-bit code, entered with flat segments, a stack below it and interrupts off.
    ///   - hasInterruptControllers: Whether the in-kernel ones are made; then HLT stays in the kernel.
    /// - Throws: `KVMError` or `GuestMemoryError`.
    package init(code: [UInt8], hasInterruptControllers: Bool = false) throws {
        memory = try GuestMemory(regions: [GuestMemoryRegion(start: 0, byteCount: 0x1_0000)])
        try memory.write(code, at: GuestAddress(rawValue: Self.entry))
        vm = try KVMSystem().makeVirtualMachine()
        if hasInterruptControllers { try vm.makeInterruptControllers() }
        for (slot, region) in memory.regions.enumerated() {
            try vm.setMemory(
                slot: UInt32(slot),
                guestAddress: region.start.rawValue,
                byteCount: region.byteCount,
                hostAddress: region.hostAddress
            )
        }
        vcpu = try vm.makeVCPU(index: 0)
        var special = try vcpu.specialRegisters()
        special.cs.base = 0
        special.cs.selector = 0
        try vcpu.setSpecialRegisters(special)
        var general = try vcpu.generalRegisters()
        general.rip = Self.entry
        general.rsp = Self.entry
        general.rflags = 2
        try vcpu.setGeneralRegisters(general)
    }
}
