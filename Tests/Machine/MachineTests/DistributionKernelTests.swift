// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Machine

@Suite struct DistributionKernelTests {
    @Test(arguments: [
        "6.1.0-54-cloud-amd64 (debian-kernel@lists.debian.org) #1 SMP",
        "6.8.0-45-generic (buildd@lcy02) #45-Ubuntu SMP",
        "5.14.0-427.el9.x86_64 (mockbuild@x86-64-01) #1 SMP",
    ])
    func `a distribution's kernel has a note that leads to its parameters`(version: String) throws {
        let note = try #require(DistributionKernel.note(version: version, commandLine: "quiet init=/bin/sh"))
        #expect(note.contains("(\(version.prefix { $0 != " " }))") && note.contains("martlet doctor"))
    }

    @Test func `other kernels, and those that were given the parameters, have none`() {
        #expect(
            DistributionKernel.note(version: "6.1.192 (martlet@martlet) #1 Debian 6.1.192-2", commandLine: "") == nil
        )
        #expect(DistributionKernel.note(version: nil, commandLine: "") == nil)
        let parameters = DistributionKernel.parameters(timeStampKilohertz: 2_596_096)
        #expect(DistributionKernel.note(version: "6.1.0-54-cloud-amd64 (d) #1", commandLine: parameters) == nil)
    }

    @Test func `the parameters slow the guest's clock and repeat what Martlet clears`() {
        let words = DistributionKernel.parameters(timeStampKilohertz: 2_596_096).split(separator: " ")
        #expect(words.contains("tsc_early_khz=33749248") && words.contains("no-kvmclock"))
        let cleared = words.first { $0.hasPrefix("clearcpuid=") }
        #expect(
            InterpretedHost.kernelParameters.allSatisfy {
                cleared?.hasSuffix($0.dropFirst("clearcpuid=".count)) == true
            }
        )
    }

    @Test(arguments: [0, 1_000, 2_596_096, 5_700_000, 40_000_000, .max] as [UInt32])
    func `the clock that they give fits the kernel's 32 bits wherever the host's does`(frequency: UInt32) {
        let divisor = DistributionKernel.clockDivisor(timeStampKilohertz: frequency)
        #expect(divisor >= 1 && (divisor == 1 || UInt64(divisor) * UInt64(frequency) * 125 <= UInt64(UInt32.max)))
    }

    @Test(.enabled(if: InterpretedHost.isThisHost, "needs a KVM that interprets guest kernel code"))
    func `doctor prints them where KVM interprets`() {
        #expect(HostReport().findings.contains { $0.subject == "kernels" && $0.detail.contains("tsc_early_khz=") })
    }
}
