// SPDX-License-Identifier: Apache-2.0

import CKVM
package import KVM

extension KVMVCPU {
    /// Sets what firmware would have set on every processor before it starts a kernel.
    package func prepareAsFirmware() throws(KVMError) {
        // The MTRRs on, with write-back as the default type: Linux believes them before its own tables (SDM 3A, 12.11).
        let mtrrDefaultType: UInt32 = 0x2ff
        // Fast string operations (SDM 4, IA32_MISC_ENABLE bit 0). AMD hosts have no such MSR, which is not an error.
        let miscEnable: UInt32 = 0x1a0
        try setModelSpecificRegister(mtrrDefaultType, to: 1 << 11 | 6)
        try setModelSpecificRegister(miscEnable, to: 1)
        try connectLocalInterrupts()
    }

    /// Indicates whether the vCPU is the first one and stands where INIT has put it: at FFFF_FFF0h, where this machine has
    /// no firmware.
    ///
    /// An application processor that gets INIT waits for SIPI instead (SDM volume 3A, 10.4.1).
    var isAtResetVector: Bool {
        guard index == 0, let general = try? generalRegisters(), general.rip == 0xfff0 else { return false }
        return (try? specialRegisters().cs.base) == 0xffff_0000
    }

    /// LINT0 takes the PIC's interrupts and LINT1 NMIs, as the MP specification wants it of firmware (3.6.2.2).
    private func connectLocalInterrupts() throws(KVMError) {
        var apic = try localAPIC()
        unsafe withUnsafeMutableBytes(of: &apic.regs) { registers in
            unsafe setDeliveryMode(.extINT, ofEntryAt: 0x350, in: registers)
            unsafe setDeliveryMode(.nmi, ofEntryAt: 0x360, in: registers)
        }
        try setLocalAPIC(apic)
    }
}

/// Delivery modes of a local vector table entry, bits 10:8 (SDM 3A, 11.5.1).
private enum DeliveryMode: UInt32 {
    case nmi = 4
    case extINT = 7
}

private func setDeliveryMode(
    _ mode: DeliveryMode,
    ofEntryAt offset: Int,
    in registers: UnsafeMutableRawBufferPointer
) {
    let entry = unsafe registers.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
    unsafe registers.storeBytes(of: entry & ~0x700 | mode.rawValue << 8, toByteOffset: offset, as: UInt32.self)
}
