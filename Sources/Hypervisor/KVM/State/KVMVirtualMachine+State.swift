// SPDX-License-Identifier: Apache-2.0

import CKVM
import Host

extension KVMVirtualMachine {
    private static let interruptControllers = [KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, KVM_IRQCHIP_IOAPIC]

    /// Takes the machine's state, after its vCPUs': no vCPU is in `KVM_RUN`.
    package func state() throws(KVMError) -> MachineState {
        var chips: [Base64] = []
        for identifier in Self.interruptControllers {
            var chip = kvm_irqchip()
            chip.chip_id = UInt32(identifier)
            try kvmCall("KVM_GET_IRQCHIP") { unsafe ckvm_get_irqchip(descriptor.rawValue, &chip) }
            chips.append(Base64(of: chip))
        }
        var timer = kvm_pit_state2()
        try kvmCall("KVM_GET_PIT2") { unsafe ckvm_get_pit2(descriptor.rawValue, &timer) }
        var clock = kvm_clock_data()
        try kvmCall("KVM_GET_CLOCK") { unsafe ckvm_get_clock(descriptor.rawValue, &clock) }
        return MachineState(interruptControllers: chips, timer: Base64(of: timer), clock: Base64(of: clock))
    }

    /// Makes this machine one that was saved, before its vCPUs' states are restored.
    ///
    /// - Parameters:
    ///   - state: May come from a file.
    ///   - continuation: How the paravirtual clock continues.
    /// - Throws: `state` for impossible sizes, `call` where KVM refuses a structure.
    package func restore(_ state: MachineState, clock continuation: ClockContinuation) throws(KVMError) {
        var timer = try state.timer.load(into: kvm_pit_state2(), "PIT")
        try kvmCall("KVM_SET_PIT2") { unsafe ckvm_set_pit2(descriptor.rawValue, &timer) }
        var clock = try state.clock.load(into: kvm_clock_data(), "clock")
        // KVM takes no other flag than this one, and it only with the time of day that it goes with.
        clock.flags &= continuation == .catchingUp ? UInt32(KVM_CLOCK_REALTIME) : 0
        try kvmCall("KVM_SET_CLOCK") { unsafe ckvm_set_clock(descriptor.rawValue, &clock) }
        guard state.interruptControllers.count == Self.interruptControllers.count else {
            throw .state("the saved state has \(state.interruptControllers.count) interrupt controllers instead of 3")
        }
        for (saved, identifier) in zip(state.interruptControllers, Self.interruptControllers) {
            var chip = try saved.load(into: kvm_irqchip(), "interrupt controller")
            chip.chip_id = UInt32(identifier)
            try kvmCall("KVM_SET_IRQCHIP") { unsafe ckvm_set_irqchip(descriptor.rawValue, &chip) }
        }
    }
}
