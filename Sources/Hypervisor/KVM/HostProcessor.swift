// SPDX-License-Identifier: Apache-2.0

import CKVM

/// The identity of the host's processor.
package enum HostProcessor {
    /// Indicates whether it offers hardware virtualisation, VT-x or AMD-V, to this kernel.
    ///
    /// The bits are those that `kvm_intel` and `kvm_amd` demand. Where neither is set and `/dev/kvm` works all the
    /// same, KVM interprets guest kernel code. Intel SDM volume 2, CPUID leaf 1; AMD APM volume 3, leaf 8000_0001h.
    ///
    /// Found once: in a virtual machine each CPUID instruction is an exit to its host, 20 us or more.
    package static let hasHardwareVirtualization: Bool = {
        let vmx = cpuid(leaf: 1).ecx & (1 << 5) != 0
        let hasExtendedLeaf = cpuid(leaf: 0x8000_0000).eax >= 0x8000_0001
        let svm = hasExtendedLeaf && cpuid(leaf: 0x8000_0001).ecx & (1 << 2) != 0
        return vmx || svm
    }()

    /// The CPUID instruction, run here.
    package static func cpuid(
        leaf: UInt32,
        subleaf: UInt32 = 0
    ) -> (eax: UInt32, ebx: UInt32, ecx: UInt32, edx: UInt32) {
        var registers: [4 of UInt32] = [0, 0, 0, 0]
        unsafe withUnsafeMutableBytes(of: &registers) { buffer in
            guard let base = buffer.baseAddress else { return }
            unsafe ckvm_host_cpuid(leaf, subleaf, base.assumingMemoryBound(to: UInt32.self))
        }
        return (registers[0], registers[1], registers[2], registers[3])
    }
}
