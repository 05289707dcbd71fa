// SPDX-License-Identifier: Apache-2.0

package import Host

/// All that KVM knows of one virtual machine besides its vCPUs and its memory.
package struct MachineState: Codable, Hashable, Sendable {
    /// `struct kvm_irqchip` of the first PIC, the second PIC and the IOAPIC.
    package var interruptControllers: [Base64]
    /// `struct kvm_pit_state2`.
    package var timer: Base64
    /// `struct kvm_clock_data`: the guest's paravirtual clock, with the host's time at that moment where KVM gives it.
    package var clock: Base64

    enum CodingKeys: String, CodingKey {
        case interruptControllers = "irqchips"
        case timer = "pit"
        case clock
    }
}

/// The time at which a restored guest's paravirtual clock continues.
package enum ClockContinuation: Hashable, Sendable {
    /// As if no time had passed since the save.
    case fromSave
    /// As if the guest had run all the time; like `fromSave` where the kernel that saved it did not note the time.
    case catchingUp
}
