// SPDX-License-Identifier: Apache-2.0

import CKVM
import KVM
import SystemPackage
import TestSupport
import Testing

@Suite struct KVMSystemTests {
    @Test func `a missing device is told from one without permission, with what to do`() {
        let missing = KVMError.unavailable(path: "/nowhere", .noSuchFileOrDirectory)
        #expect(throws: missing) { try KVMSystem(path: "/nowhere") }
        #expect(missing.description.contains("modprobe"))
        #expect(KVMError.unavailable(path: "/dev/kvm", .permissionDenied).description.contains("usermod -aG kvm"))
    }

    @Test func `a file that is not KVM is refused by its version`() {
        #expect {
            try KVMSystem(path: "/dev/null")
        } throws: { error in
            guard case .apiVersion = error as? KVMError else { return false }
            return true
        }
    }

    @Test(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
    func `this host offers all that Martlet requires`() throws {
        let system = try KVMSystem()
        #expect(system.missing(from: Capability.required) == [])
        #expect(system.maximumVCPUCount >= system.recommendedVCPUCount)
        #expect(try system.supportedCPUID().contains { $0.function == 0 })
    }
}
