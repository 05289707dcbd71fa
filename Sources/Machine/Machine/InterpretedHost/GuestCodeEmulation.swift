// SPDX-License-Identifier: Apache-2.0

import KVM

/// Executes what KVM cannot: the one interface between the vCPU loop and the support for hosts whose KVM interprets
/// guest kernel code.
protocol GuestCodeEmulation: Sendable {
    /// Executes the instruction at which KVM gave up, so that the vCPU can continue after it.
    ///
    /// - Parameter vcpu: Out of `KVM_RUN`, on its own thread.
    /// - Throws: `instruction` where it cannot be executed here either, `kvm` where the vCPU's state cannot be read.
    func completeInstruction(on vcpu: KVMVCPU) throws(MachineError)
}
