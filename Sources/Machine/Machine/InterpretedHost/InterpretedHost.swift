// SPDX-License-Identifier: Apache-2.0

import KVM
package import MachineModel

/// The measures for a host that offers `/dev/kvm` without VT-x and AMD-V, where KVM interprets guest kernel code.
///
/// On any other host nothing here is used. docs/host-support.md tells the whole story.
package enum InterpretedHost {
    /// Indicates whether this host is of that kind.
    ///
    /// `kvm_intel` and `kvm_amd` load only where CPUID shows VMX or SVM; so a KVM that works without either runs guest
    /// kernels by other means.
    package static var isThisHost: Bool {
        !HostProcessor.hasHardwareVirtualization
    }

    /// The kernel parameters without which Linux crawls here.
    ///
    /// "noxsave" is not among them, although KVM lacks XSAVE and XRSTOR: CPUID in guest user mode is the processor's own,
    /// so programs use AVX, and a kernel that saves state by FXSAVE would lose half of each register at a context switch.
    package static let kernelParameters = [
        // With ERMS and FSRM the kernel copies and clears by "rep movsb" and "rep stosb", interpreted byte by byte.
        // POPCNT is not emulated; without it the kernel counts bits in code that is.
        "clearcpuid=erms,fsrm,popcnt"
    ]

    /// Paravirtual features of KVM (CPUID leaf 4000_0001h, EAX) whose hypercalls never complete here: PV_UNHALT,
    /// PV_SEND_IPI and PV_SCHED_YIELD (Documentation/virt/kvm/x86/cpuid.rst).
    static let hypercallFeatures: UInt32 = 1 << 7 | 1 << 11 | 1 << 13

    /// CMPXCHG16B (CPUID leaf 1, ECX), which Linux uses where it is shown and KVM does not emulate.
    static let compareExchange16B: UInt32 = 1 << 13

    /// Notes about such a host for the user before the guest starts; none on other hosts.
    package static func notes(for configuration: MachineConfiguration) -> [String] {
        guard isThisHost else { return [] }
        let line = "no VT-x or AMD-V here: KVM interprets guest kernel code, which makes it slow"
        guard configuration.bootSource?.isCommandLineComplete != true else { return [line] }
        return [line + "; added for that: " + kernelParameters.joined(separator: " ")]
    }
}
