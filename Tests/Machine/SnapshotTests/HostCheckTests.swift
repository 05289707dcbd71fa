// SPDX-License-Identifier: Apache-2.0

import CKVM
import Snapshot
import Testing

@Suite struct HostCheckTests {
    private func leaf(_ function: UInt32, ebx: UInt32 = 0, ecx: UInt32 = 0) -> kvm_cpuid_entry2 {
        var leaf = kvm_cpuid_entry2()
        (leaf.function, leaf.ebx, leaf.ecx) = (function, ebx, ecx)
        return leaf
    }

    private let host = HostDescription(
        kernel: "6.1.0",
        bootID: "boot-1",
        vendor: "GenuineIntel",
        processor: "A Xeon",
        isInterpreting: false
    )

    /// The features that a guest was shown: AVX2 and AES, and the bits that say nothing of the host.
    private var shown: [kvm_cpuid_entry2] {
        [leaf(0x1, ecx: 1 << 25 | 1 << 31 | 1 << 27 | 1 << 24), leaf(0x7, ebx: 1 << 5)]
    }

    private func check(_ change: (inout HostCheck) -> Void) -> [String] {
        var check = HostCheck(
            host: host,
            supported: [leaf(0x1, ecx: 1 << 25), leaf(0x7, ebx: 1 << 5)],
            timeStampKilohertz: 2_100_200,
            canScaleTimeStampCounter: false,
            canSetTimeStampCounter: false
        )
        change(&check)
        return check.differences(from: host, cpuid: shown, timeStampKilohertz: 2_100_000)
    }

    @Test func `the host of the save goes on with it`() {
        #expect(check { _ in } == [])
        // Another kernel is no reason.
        #expect(check { $0.host.kernel = "6.2.0" } == [])
    }

    @Test func `all differences are listed at once, in words`() {
        let differences = check {
            $0.host = HostDescription(
                kernel: "",
                bootID: "boot-2",
                vendor: "AuthenticAMD",
                processor: "",
                isInterpreting: true
            )
            $0.supported = [leaf(0x7)]
            $0.timeStampKilohertz = 3_000_000
        }
        #expect(differences.count == 5)
        #expect(differences[0].contains("interprets guest kernel code"))
        #expect(differences[1].contains("AuthenticAMD"))
        #expect(differences[2].hasSuffix("missing here: aes, avx2"))
        #expect(differences[3].contains("2100000 kHz"))
        #expect(differences[4].contains("another boot"))
    }

    @Test func `a counter that can be set or scaled lifts what depends on it`() {
        #expect(check { ($0.host.bootID, $0.canSetTimeStampCounter) = ("boot-2", true) } == [])
        #expect(check { ($0.timeStampKilohertz, $0.canScaleTimeStampCounter) = (3_000_000, true) } == [])
    }

    @Test func `this host is described`() {
        let host = HostDescription.current()
        #expect(!host.kernel.isEmpty && host.bootID.count == 36 && !host.vendor.isEmpty && !host.processor.isEmpty)
    }
}
