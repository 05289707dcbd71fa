// SPDX-License-Identifier: Apache-2.0

import CKVM
package import Host
import SystemPackage

/// One virtual machine of the kernel (api.rst, "VM ioctls"): its memory slots, interrupt controllers and event wiring.
package final class KVMVirtualMachine: Sendable {
    let descriptor: OwnedDescriptor
    private let runMappingByteCount: Int

    init(adopting descriptor: consuming OwnedDescriptor, runMappingByteCount: Int) {
        self.descriptor = descriptor
        self.runMappingByteCount = runMappingByteCount
    }

    /// Gives the kernel the pages below 4 GiB that Intel hosts need to run real mode; the guest never sees them.
    package func reserveRealModePages(tss: UInt64, identityMap: UInt64) throws(KVMError) {
        try kvmCall("KVM_SET_IDENTITY_MAP_ADDR") {
            ckvm_set_identity_map_address(descriptor.rawValue, identityMap)
        }
        try kvmCall("KVM_SET_TSS_ADDR") { ckvm_set_tss_address(descriptor.rawValue, UInt(tss)) }
    }

    /// Makes the in-kernel PIC, IOAPIC and local APICs.
    ///
    /// Before the first vCPU. The PIC's inputs are masked, as firmware leaves them: KVM makes them open, with vectors from
    /// 0 on, and a kernel that uses the IOAPIC alone never touches them.
    package func makeInterruptControllers() throws(KVMError) {
        try kvmCall("KVM_CREATE_IRQCHIP") { ckvm_create_irqchip(descriptor.rawValue) }
        for pic in [KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE] {
            var chip = kvm_irqchip()
            chip.chip_id = UInt32(pic)
            try kvmCall("KVM_GET_IRQCHIP") { unsafe ckvm_get_irqchip(descriptor.rawValue, &chip) }
            // A union in C, in which chip_id says that this member counts.
            unsafe chip.chip.pic.imr = 0xff
            try kvmCall("KVM_SET_IRQCHIP") { unsafe ckvm_set_irqchip(descriptor.rawValue, &chip) }
        }
    }

    /// Makes the in-kernel PIT, with the speaker port 0x61 that calibration loops read.
    package func makeTimer() throws(KVMError) {
        var config = kvm_pit_config()
        config.flags = UInt32(KVM_PIT_SPEAKER_DUMMY)
        try kvmCall("KVM_CREATE_PIT2") { unsafe ckvm_create_pit2(descriptor.rawValue, &config) }
    }

    /// Shows `byteCount` bytes of this process to the guest.
    ///
    /// - Parameters:
    ///   - slot: The number of the memory slot.
    ///   - guestAddress: The guest physical address; page aligned.
    ///   - byteCount: The size in bytes; page aligned.
    ///   - hostAddress: The address of the mapping in this process, which must outlive the virtual machine.
    /// - Throws: `call`.
    package func setMemory(
        slot: UInt32,
        guestAddress: UInt64,
        byteCount: UInt64,
        hostAddress: UInt64
    ) throws(KVMError) {
        var region = kvm_userspace_memory_region(
            slot: slot,
            flags: 0,
            guest_phys_addr: guestAddress,
            memory_size: byteCount,
            userspace_addr: hostAddress
        )
        try kvmCall("KVM_SET_USER_MEMORY_REGION") {
            unsafe ckvm_set_user_memory_region(descriptor.rawValue, &region)
        }
    }

    /// Has `KVM_RUN` hand over the bytes of an instruction that KVM cannot emulate, where the kernel can.
    package func enableExitOnEmulationFailure() throws(KVMError) {
        var capability = kvm_enable_cap()
        capability.cap = UInt32(KVM_CAP_EXIT_ON_EMULATION_FAILURE)
        capability.args.0 = 1
        try kvmCall("KVM_ENABLE_CAP") { unsafe ckvm_enable_capability(descriptor.rawValue, &capability) }
    }

    /// Raises one edge on `gsi` for each signal of `event` from now on (`KVM_IRQFD`).
    package func connect(_ event: EventFD, toGSI gsi: UInt32) throws(KVMError) {
        var irqfd = kvm_irqfd()
        irqfd.fd = UInt32(bitPattern: event.descriptor.rawValue)
        irqfd.gsi = gsi
        try kvmCall("KVM_IRQFD") { unsafe ckvm_irqfd(descriptor.rawValue, &irqfd) }
    }

    /// Signals `event`, instead of an exit, whenever the guest writes `value` as 4 bytes to `address` (`KVM_IOEVENTFD`).
    ///
    /// Every other access to that address is an exit as before.
    package func connect(_ event: EventFD, toWritesOf value: UInt32, at address: UInt64) throws(KVMError) {
        var ioeventfd = kvm_ioeventfd()
        ioeventfd.datamatch = UInt64(value)
        ioeventfd.addr = address
        ioeventfd.len = 4
        ioeventfd.fd = event.descriptor.rawValue
        ioeventfd.flags = 1 << UInt32(kvm_ioeventfd_flag_nr_datamatch)
        try kvmCall("KVM_IOEVENTFD") { unsafe ckvm_ioeventfd(descriptor.rawValue, &ioeventfd) }
    }

    /// Makes vCPU `index`, whose APIC id is `index` as well.
    package func makeVCPU(index: Int) throws(KVMError) -> KVMVCPU {
        let vcpu = try kvmCall("KVM_CREATE_VCPU") { ckvm_create_vcpu(descriptor.rawValue, UInt(index)) }
        return try KVMVCPU(
            adopting: OwnedDescriptor(adopting: vcpu),
            index: index,
            runMappingByteCount: runMappingByteCount,
            extendedStateByteCount: max(
                Int(CKVM_XSAVE_SIZE),
                Int(ckvm_check_extension(descriptor.rawValue, KVM_CAP_XSAVE2))
            )
        )
    }
}
