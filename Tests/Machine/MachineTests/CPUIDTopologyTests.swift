// SPDX-License-Identifier: Apache-2.0

import CKVM
import Machine
import Testing

@Suite struct CPUIDTopologyTests {
    private typealias Leaf = (function: UInt32, index: UInt32, eax: UInt32, ebx: UInt32, ecx: UInt32, edx: UInt32)

    private func entry(_ leaf: Leaf) -> kvm_cpuid_entry2 {
        var entry = kvm_cpuid_entry2()
        (entry.function, entry.index) = (leaf.function, leaf.index)
        (entry.eax, entry.ebx, entry.ecx, entry.edx) = (leaf.eax, leaf.ebx, leaf.ecx, leaf.edx)
        return entry
    }

    /// Leaves of an imaginary host of 8 cores with 2 threads each.
    private var intel: [kvm_cpuid_entry2] {
        ([
            (0, 0, 0x1f, 0x756e_6547, 0x6c65_746e, 0x4965_6e69),
            (1, 0, 0x000a_0655, 0x0710_0800, 0x7ffa_3203, 0x1f8b_fbff),
            (4, 0, 0x1c00_4121, 0x01c0_003f, 0x3f, 0), (4, 2, 0x1c00_4143, 0x00c0_003f, 0x3ff, 0),
            (4, 3, 0x1c03_c163, 0x03c0_003f, 0x3fff, 6), (4, 4, 0, 0, 0, 0),
            (0xb, 0, 1, 2, 0x100, 7), (0xb, 1, 4, 16, 0x201, 7), (0x1f, 0, 1, 2, 0x100, 7),
            (0x4000_0001, 0, 0x0100_7efb, 0, 0, 0), (0x8000_0001, 0, 0, 0, 0x121, 0x2c10_0800),
            (0x8000_0008, 0, 0x302e, 0, 0, 0),
        ] as [Leaf]).map(entry)
    }

    private var amd: [kvm_cpuid_entry2] {
        ([
            (0, 0, 0x10, 0x6874_7541, 0x444d_4163, 0x6974_6e65),
            (1, 0, 0x00a0_0f11, 0x0710_0800, 0x7ef8_320b, 0x178b_fbff),
            (0xb, 0, 1, 2, 0x100, 7), (0xb, 1, 4, 16, 0x201, 7),
            (0x8000_0001, 0, 0x00a0_0f11, 0x4000_0000, 0x75c2_37ff, 0x2fd3_fbff),
            (0x8000_0008, 0, 0x3030, 0, 0x400f, 0),
            (0x8000_001d, 0, 0x4121, 0x01c0_003f, 0x3f, 0), (0x8000_001d, 3, 0x0003_c163, 0x03c0_003f, 0x7fff, 1),
            (0x8000_001e, 0, 7, 0x103, 0x1, 0),
        ] as [Leaf]).map(entry)
    }

    private func leaves(
        _ host: [kvm_cpuid_entry2],
        vcpuCount: Int,
        apicID: UInt32,
        pairsThreads: Bool = false,
        isInterpreting: Bool = false
    ) -> [kvm_cpuid_entry2] {
        CPUIDTopology(
            supported: host,
            vcpuCount: vcpuCount,
            pairsThreads: pairsThreads,
            hasTSCDeadlineTimer: true,
            isHostInterpreting: isInterpreting
        ).entries(apicID: apicID)
    }

    private func leaf(_ leaves: [kvm_cpuid_entry2], _ function: UInt32, _ index: UInt32 = 0) throws -> kvm_cpuid_entry2
    {
        let found = leaves.filter { $0.function == function && $0.index == index }
        #expect(found.count == 1)
        return try #require(found.first)
    }

    /// Numbers of vCPUs, and the bits of an APIC id that they need.
    static let sizes: [(count: Int, bits: UInt32)] = [(1, 0), (2, 1), (3, 2), (32, 5)]

    @Test(arguments: sizes)
    func `every vCPU has its own APIC id in all the leaves, on an Intel host`(count: Int, bits: UInt32) throws {
        for id in 0..<UInt32(count) {
            let leaves = leaves(intel, vcpuCount: count, apicID: id)
            let features = try leaf(leaves, 1)
            #expect(features.ebx >> 24 == id)
            #expect(features.ebx >> 16 & 0xff == 1 << bits)
            #expect(features.edx >> 28 & 1 == (count > 1 ? 1 : 0))
            for level in 0..<UInt32(3) { #expect(try leaf(leaves, 0xb, level).edx == id) }
        }
    }

    @Test(arguments: sizes)
    func `the topology leaf has one thread for a core and all cores in one package`(count: Int, bits: UInt32) throws {
        let leaves = leaves(intel, vcpuCount: count, apicID: 0)
        let (threads, cores, end) = (try leaf(leaves, 0xb, 0), try leaf(leaves, 0xb, 1), try leaf(leaves, 0xb, 2))
        #expect((threads.eax, threads.ebx, threads.ecx) == (0, 1, 0x100))
        #expect((cores.eax, cores.ebx, cores.ecx) == (bits, UInt32(count), 0x201))
        #expect((end.eax, end.ebx, end.ecx) == (0, 0, 2))
        #expect(leaves.allSatisfy { $0.function != 0x1f })
        for leaf in leaves where leaf.function == 0xb {
            #expect(leaf.flags & UInt32(KVM_CPUID_FLAG_SIGNIFCANT_INDEX) != 0)
        }
    }

    @Test(arguments: sizes)
    func `the first cache levels belong to a core and the last to all`(count: Int, bits: UInt32) throws {
        let intel = leaves(intel, vcpuCount: count, apicID: 0)
        for index in [0, 2] as [UInt32] { #expect(try leaf(intel, 4, index).eax >> 14 & 0xfff == 0) }
        #expect(try leaf(intel, 4, 3).eax >> 14 & 0xfff == 1 << bits - 1)
        #expect(try leaf(intel, 4, 3).eax >> 26 == 1 << bits - 1)
        #expect(try leaf(intel, 4, 4).eax == 0)
        let amd = leaves(amd, vcpuCount: count, apicID: 0)
        #expect(try leaf(amd, 0x8000_001d, 0).eax >> 14 & 0xfff == 0)
        #expect(try leaf(amd, 0x8000_001d, 3).eax >> 14 & 0xfff == 1 << bits - 1)
    }

    @Test(arguments: sizes)
    func `AMD's own leaves say the same as the others`(count: Int, bits: UInt32) throws {
        let leaves = leaves(amd, vcpuCount: count, apicID: UInt32(count - 1))
        #expect(try leaf(leaves, 0x8000_0008).ecx & 0xff == UInt32(count - 1))
        #expect(try leaf(leaves, 0x8000_0008).ecx >> 12 & 0xf == bits)
        #expect(try leaf(leaves, 0x8000_0001).ecx >> 1 & 1 == (count > 1 ? 1 : 0))
        let extended = try leaf(leaves, 0x8000_001e)
        #expect((extended.eax, extended.ebx, extended.ecx) == (UInt32(count - 1), UInt32(count - 1), 0))
    }

    @Test func `two vCPUs may be the threads of one core, whose caches they share`() throws {
        let intel = leaves(intel, vcpuCount: 4, apicID: 3, pairsThreads: true)
        let (threads, cores) = (try leaf(intel, 0xb, 0), try leaf(intel, 0xb, 1))
        #expect((threads.eax, threads.ebx, cores.eax, cores.ebx, cores.edx) == (1, 2, 2, 4, 3))
        #expect(try leaf(intel, 4, 0).eax >> 14 == 1 << 12 | 1)
        #expect(try leaf(intel, 4, 3).eax >> 14 == 1 << 12 | 3)
        let amd = leaves(amd, vcpuCount: 4, apicID: 3, pairsThreads: true)
        #expect(try leaf(amd, 0x8000_001d, 0).eax >> 14 & 0xfff == 1)
        #expect(try leaf(amd, 0x8000_001d, 3).eax >> 14 & 0xfff == 3)
        #expect(try leaf(amd, 0x8000_001e).ebx == 0x101)
        #expect(try leaf(amd, 0x8000_0001).ecx >> 1 & 1 == 1)
        let pair = leaves(self.amd, vcpuCount: 2, apicID: 0, pairsThreads: true)
        #expect(try leaf(pair, 0x8000_0001).ecx >> 1 & 1 == 0)
        let single = leaves(self.amd, vcpuCount: 1, apicID: 0, pairsThreads: true)
        #expect(try leaf(single, 0x8000_001d, 0).eax >> 14 & 0xfff == 0)
    }

    @Test func `an Intel host's leaves get nothing of AMD's`() throws {
        let leaves = leaves(intel, vcpuCount: 4, apicID: 3)
        #expect(try leaf(leaves, 0x8000_0008).ecx == 0)
        #expect(try leaf(leaves, 0x8000_0001).ecx == 0x121)
    }

    @Test func `a hypervisor and the deadline timer are shown on every host`() throws {
        for host in [intel, amd] {
            let features = try leaf(leaves(host, vcpuCount: 1, apicID: 0), 1)
            #expect(features.ecx >> 31 & 1 == 1)
            #expect(features.ecx >> 24 & 1 == 1)
        }
    }

    @Test func `what an interpreting KVM cannot do is hidden there and only there`() throws {
        let native = leaves(intel, vcpuCount: 2, apicID: 0)
        let interpreted = leaves(intel, vcpuCount: 2, apicID: 0, isInterpreting: true)
        let hypercalls: UInt32 = 1 << 7 | 1 << 11 | 1 << 13
        #expect(try leaf(native, 0x4000_0001).eax & hypercalls == 0x0100_7efb & hypercalls)
        #expect(try leaf(interpreted, 0x4000_0001).eax == 0x0100_7efb & ~hypercalls)
        #expect(try leaf(native, 1).ecx >> 13 & 1 == 1)
        #expect(try leaf(interpreted, 1).ecx >> 13 & 1 == 0)
    }
}
