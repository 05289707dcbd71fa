// SPDX-License-Identifier: Apache-2.0

package import CKVM

/// The CPUID of one machine's vCPUs: the host's leaves as KVM can give them, with the machine's own topology,
/// one socket of cores with one thread each, or two.
///
/// Sources: Intel SDM volume 2A, CPUID; AMD APM volume 3, appendix E; Documentation/virt/kvm/x86/cpuid.rst.
package struct CPUIDTopology {
    private let supported: [kvm_cpuid_entry2]
    private let vcpuCount: Int
    /// The bits of an APIC id that number the threads of a core.
    private let threadBits: UInt32
    private let hasTSCDeadlineTimer: Bool
    private let isHostInterpreting: Bool

    /// - Parameters:
    ///   - supported: What `KVM_GET_SUPPORTED_CPUID` gave.
    ///   - vcpuCount: The number of the machine's vCPUs.
    ///   - pairsThreads: Whether two vCPUs are the threads of one core.
    ///   - hasTSCDeadlineTimer: Whether the in-kernel local APIC has that mode, which the leaves leave out.
    ///   - isHostInterpreting: Whether KVM interprets guest kernel code, which hides features that it lacks.
    package init(
        supported: [kvm_cpuid_entry2],
        vcpuCount: Int,
        pairsThreads: Bool = false,
        hasTSCDeadlineTimer: Bool,
        isHostInterpreting: Bool
    ) {
        self.supported = supported
        self.vcpuCount = vcpuCount
        threadBits = pairsThreads && vcpuCount > 1 ? 1 : 0
        self.hasTSCDeadlineTimer = hasTSCDeadlineTimer
        self.isHostInterpreting = isHostInterpreting
    }

    /// The leaves for the vCPU whose APIC id is `apicID`.
    package func entries(apicID: UInt32) -> [kvm_cpuid_entry2] {
        let isTopologyLeaf = { (function: UInt32) in function == 0xb || function == 0x1f }
        var entries = supported.filter { !isTopologyLeaf($0.function) }
        for index in entries.indices {
            adjust(&entries[index], apicID: apicID)
        }
        // Leaf 1fh is left out: without dies and modules it says the same as leaf bh, which every kernel knows.
        if supported.contains(where: { isTopologyLeaf($0.function) }) {
            entries.append(contentsOf: extendedTopology(apicID: apicID))
        }
        return entries
    }

    private func adjust(_ entry: inout kvm_cpuid_entry2, apicID: UInt32) {
        let count = UInt32(vcpuCount)
        let threads: UInt32 = 1 << threadBits
        switch entry.function {
        case 0x1:
            // EBX: initial APIC id, number of addressable ids in this package; EDX bit 28: that number is valid.
            entry.ebx = entry.ebx & 0x0000_ffff | min(apicIDSpan, 255) << 16 | min(apicID, 255) << 24
            entry.edx = entry.edx & ~(1 << 28) | (count > 1 ? 1 << 28 : 0)
            // ECX bit 31: a hypervisor is there, so that the guest looks for its leaves.
            entry.ecx |= 1 << 31
            if hasTSCDeadlineTimer { entry.ecx |= 1 << 24 }
            if isHostInterpreting { entry.ecx &= ~InterpretedHost.compareExchange16B }
        case 0x4, 0x8000_001d:
            // EAX: how many ids share the cache (the first two levels belong to a core), how many cores there are.
            guard entry.eax & 0x1f != 0 else { return }
            let isLastLevel = (entry.eax >> 5) & 0x7 >= 3
            let sharing = isLastLevel ? min(apicIDSpan, 4096) : threads
            entry.eax = entry.eax & 0x3fff | (sharing - 1) << 14
            if entry.function == 0x4 { entry.eax |= (min(apicIDSpan / threads, 64) - 1) << 26 }
        case 0x8000_0001 where isAMD:
            // ECX bit 1, CmpLegacy: the ids of leaf 1 are of several cores, and not only of threads.
            entry.ecx = entry.ecx & ~(1 << 1) | (count > threads ? 1 << 1 : 0)
        case 0x8000_0008 where isAMD:
            // ECX: threads - 1, and how many bits of the APIC id number them.
            entry.ecx = entry.ecx & ~0xf0ff | (min(count, 256) - 1) | apicIDBits << 12
        case 0x8000_001e where isAMD:
            // Extended APIC id; core id and threads per core - 1; node 0 of 1.
            (entry.eax, entry.ebx, entry.ecx) = (apicID, (apicID >> threadBits) & 0xff | (threads - 1) << 8, 0)
        case 0x4000_0001:
            if isHostInterpreting { entry.eax &= ~InterpretedHost.hypercallFeatures }
        default: break
        }
    }

    /// Leaf bh: the bits of threads, then as many for cores as the machine needs.
    private func extendedTopology(apicID: UInt32) -> [kvm_cpuid_entry2] {
        enum LevelType: UInt32 { case invalid, thread, core }
        func level(_ index: UInt32, _ type: LevelType, shift: UInt32, count: UInt32) -> kvm_cpuid_entry2 {
            var entry = kvm_cpuid_entry2()
            entry.function = 0xb
            entry.index = index
            entry.flags = UInt32(KVM_CPUID_FLAG_SIGNIFCANT_INDEX)
            (entry.eax, entry.ebx, entry.ecx, entry.edx) = (shift, count, index | type.rawValue << 8, apicID)
            return entry
        }
        return [
            level(0, .thread, shift: threadBits, count: 1 << threadBits),
            level(1, .core, shift: apicIDBits, count: UInt32(vcpuCount)),
            level(2, .invalid, shift: 0, count: 0),
        ]
    }

    /// Indicates whether the processor is AMD's or Hygon's, which say their topology in leaves of their own.
    private var isAMD: Bool {
        // EBX of leaf 0: "Auth" of "AuthenticAMD", "Hygo" of "HygonGenuine".
        supported.contains { $0.function == 0 && ($0.ebx == 0x6874_7541 || $0.ebx == 0x6f67_7948) }
    }

    /// The bits of an APIC id that number cores and threads.
    private var apicIDBits: UInt32 {
        UInt32(UInt32.bitWidth - UInt32(vcpuCount - 1).leadingZeroBitCount)
    }

    /// The number of APIC ids that those bits can name.
    private var apicIDSpan: UInt32 {
        1 << apicIDBits
    }
}
