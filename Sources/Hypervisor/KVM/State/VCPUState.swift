// SPDX-License-Identifier: Apache-2.0

package import Host

/// All that KVM knows of one vCPU that is outside `KVM_RUN`: enough to go on elsewhere.
///
/// The kernel's structures stand here as bytes, as its interface defines them for x86-64; `KVMVCPU.restore` checks their sizes,
/// and KVM their contents.
package struct VCPUState: Codable, Hashable, Sendable {
    /// `KVM_MP_STATE_…`: running, halted, or waiting for INIT and SIPI.
    package var runState: UInt32
    /// `struct kvm_regs`.
    package var generalRegisters: Base64
    /// `struct kvm_sregs`.
    package var specialRegisters: Base64
    /// The XSAVE area: 4096 bytes, or what `KVM_CAP_XSAVE2` says.
    package var extendedState: Base64
    /// `struct kvm_xcrs`.
    package var extendedControlRegisters: Base64
    /// `struct kvm_debugregs`.
    package var debugRegisters: Base64
    /// `struct kvm_lapic_state`.
    package var localAPIC: Base64
    /// The frequency of the time-stamp counter in kHz, or 0 where KVM does not know it.
    package var timeStampKilohertz: UInt32
    /// An array of `struct kvm_cpuid_entry2`: what CPUID was set to, not what KVM has made of it.
    package var cpuid: Base64
    /// An array of `struct kvm_msr_entry`.
    package var modelSpecificRegisters: Base64
    /// `struct kvm_vcpu_events`.
    package var events: Base64

    /// The kernel's names, in the order in which the state is taken.
    enum CodingKeys: String, CodingKey {
        case runState = "mp_state"
        case generalRegisters = "regs"
        case specialRegisters = "sregs"
        case extendedState = "xsave"
        case extendedControlRegisters = "xcrs"
        case debugRegisters = "debugregs"
        case localAPIC = "lapic"
        case timeStampKilohertz = "tsc_khz"
        case cpuid
        case modelSpecificRegisters = "msrs"
        case events
    }
}
