// SPDX-License-Identifier: Apache-2.0

package import CKVM
import Host
import Synchronization

/// MSRs whose place in the order counts, or that mean something here (SDM volume 4).
private enum MSR {
    static let timeStampCounter: UInt32 = 0x10
    static let timeStampDeadline: UInt32 = 0x6e0
}

extension KVMVCPU {
    /// Takes the vCPU's state.
    ///
    /// The vCPU stands between two exits, and `finishLastExitOnly` was obeyed. The run state comes first, because reading it may
    /// change the local APIC's; the events come last.
    ///
    /// - Parameter registers: The MSRs to take: `KVMSystem.stateMSRs`. Those that this vCPU lacks are left out.
    /// - Returns: The state.
    /// - Throws: `call`.
    package func state(msrs registers: [UInt32]) throws(KVMError) -> VCPUState {
        let runState = try unsafe get("KVM_GET_MP_STATE", kvm_mp_state(), ckvm_get_mp_state)
        let general = try generalRegisters()
        let special = try specialRegisters()
        let extended = try extendedStateArea()
        let controls = try unsafe get("KVM_GET_XCRS", kvm_xcrs(), ckvm_get_xcrs)
        let debug = try unsafe get("KVM_GET_DEBUGREGS", kvm_debugregs(), ckvm_get_debugregs)
        let apic = try localAPIC()
        let values = try modelSpecificRegisters(registers, isWaitingForDeadline: apic.isWaitingForDeadline)
        return VCPUState(
            runState: runState.mp_state,
            generalRegisters: Base64(of: general),
            specialRegisters: Base64(of: special),
            extendedState: Base64(extended),
            extendedControlRegisters: Base64(of: controls),
            debugRegisters: Base64(of: debug),
            localAPIC: Base64(of: apic),
            timeStampKilohertz: timeStampKilohertz,
            cpuid: Base64(ofElements: cpuid.withLock { $0 }),
            modelSpecificRegisters: Base64(ofElements: values),
            events: Base64(of: try events())
        )
    }

    /// Makes this vCPU, which never ran, one that was saved.
    ///
    /// - Parameter state: May come from a file.
    /// - Throws: `state` for impossible sizes and for values that this host cannot give to a guest, `call` where KVM refuses a
    ///   structure.
    package func restore(_ state: VCPUState) throws(KVMError) {
        try restoreFrequency(state.timeStampKilohertz)
        try setCPUID(try state.savedCPUID())
        try unsafe set("KVM_SET_MP_STATE", kvm_mp_state(mp_state: state.runState), ckvm_set_mp_state)
        try setGeneralRegisters(state.generalRegisters.load(into: kvm_regs(), "general registers"))
        try setSpecialRegisters(state.specialRegisters.load(into: kvm_sregs(), "special registers"))
        guard state.extendedState.bytes.count == extendedStateByteCount else {
            throw .state(
                """
                the saved vector registers have \(state.extendedState.bytes.count) bytes, this host's have \
                \(extendedStateByteCount)
                """
            )
        }
        try setExtendedStateArea(state.extendedState.bytes)
        try unsafe set("KVM_SET_XCRS", state.extendedControlRegisters.load(into: kvm_xcrs(), "XCRs"), ckvm_set_xcrs)
        try unsafe set(
            "KVM_SET_DEBUGREGS",
            state.debugRegisters.load(into: kvm_debugregs(), "debug registers"),
            ckvm_set_debugregs
        )
        // Behind the special registers, which have the local APIC's base.
        try setLocalAPIC(state.localAPIC.load(into: kvm_lapic_state(), "local APIC"))
        try restoreModelSpecificRegisters(state)
        // Behind the general registers, which clear exceptions.
        try setEvents(state.events.load(into: kvm_vcpu_events(), "events"))
    }

    // MARK: - Time

    /// The frequency of the guest's time-stamp counter in kHz, or 0 where KVM does not know it.
    package var timeStampKilohertz: UInt32 {
        UInt32(max(0, ckvm_get_tsc_khz(descriptor.rawValue)))
    }

    /// Tells whether two frequencies are so near that no guest sees the difference: 250 ppm, which is what Linux bears (NTP).
    package static func isSameFrequency(_ one: UInt32, _ other: UInt32) -> Bool {
        let difference = one > other ? one - other : other - one
        return UInt64(difference) * 1_000_000 <= UInt64(max(one, other)) * 250
    }

    private func restoreFrequency(_ saved: UInt32) throws(KVMError) {
        // Never where it is the same: some kernels change the reported value even when they refuse.
        let own = timeStampKilohertz
        guard saved != 0, own != 0, !Self.isSameFrequency(saved, own) else { return }
        do {
            try kvmCall("KVM_SET_TSC_KHZ") { ckvm_set_tsc_khz(descriptor.rawValue, UInt(saved)) }
        } catch {
            throw .state(
                "the guest's time-stamp counter runs at \(saved) kHz; this host's runs at \(own) kHz and cannot be scaled"
            )
        }
    }

    /// Finds out whether a value that is given to the guest's time-stamp counter takes effect.
    ///
    /// Only for a vCPU that never ran. Some KVMs accept the value and go on with the host's counter; then a guest can go on only
    /// in the boot of the host in which it was saved, because its timers wait for values of that counter.
    package func canSetTimeStampCounter() throws(KVMError) -> Bool {
        guard let before = try modelSpecificRegister(MSR.timeStampCounter) else { return false }
        // Far from the host's and the guest's counter: a year at some GHz.
        let target = before &+ 1 << 56
        guard try setModelSpecificRegister(MSR.timeStampCounter, to: target) else { return false }
        let after = try modelSpecificRegister(MSR.timeStampCounter) ?? 0
        try setModelSpecificRegister(MSR.timeStampCounter, to: before)
        return after >= target
    }

    /// Gives this vCPU the time-stamp counter of another one of the same machine, to the cycle.
    ///
    /// Each vCPU's counter was read at another moment. Nothing happens where the kernel lacks `KVM_VCPU_TSC_OFFSET`.
    package func synchronizeTimeStampCounter(with first: KVMVCPU) {
        var offset: UInt64 = 0
        guard unsafe ckvm_get_tsc_offset(first.descriptor.rawValue, &offset) == 0 else { return }
        _ = ckvm_set_tsc_offset(descriptor.rawValue, offset)
    }

    // MARK: - MSRs

    private func modelSpecificRegisters(
        _ registers: [UInt32],
        isWaitingForDeadline: Bool
    ) throws(KVMError) -> [kvm_msr_entry] {
        // The deadline is in units of the counter: restored before it, it would be in the past or far away.
        let isLast = { (index: UInt32) in index == MSR.timeStampDeadline }
        let order = registers.filter { !isLast($0) } + registers.filter(isLast)
        var entries = order.map { index in
            var entry = kvm_msr_entry()
            entry.index = index
            return entry
        }
        var done = 0
        while done < entries.count {
            var rest = Array(entries[done...])
            let count = try kvmCall("KVM_GET_MSRS") {
                unsafe ckvm_get_msrs(descriptor.rawValue, &rest, UInt32(rest.count))
            }
            entries.replaceSubrange(done..., with: rest)
            done += Int(count)
            // The one at which KVM has stopped is none of this vCPU's.
            if done < entries.count { entries.remove(at: done) }
        }
        guard
            isWaitingForDeadline,
            let deadline = entries.lastIndex(where: { $0.index == MSR.timeStampDeadline && $0.data == 0 }),
            let now = entries.first(where: { $0.index == MSR.timeStampCounter })?.data
        else { return entries }
        // The timer may have fired and not have reached the APIC yet. A spurious tick harms less than a lost one.
        entries[deadline].data = now
        return entries
    }

    private func restoreModelSpecificRegisters(_ state: VCPUState) throws(KVMError) {
        let capacity = Int(CKVM_MSR_CAPACITY)
        var entries = try state.modelSpecificRegisters.loadElements(kvm_msr_entry.self, "MSRs", maximum: capacity)
        let deadlines = entries.filter { $0.index == MSR.timeStampDeadline }
        entries = entries.filter { $0.index != MSR.timeStampDeadline } + deadlines
        var rest = entries[...]
        while !rest.isEmpty {
            let values = Array(rest)
            let count = try kvmCall("KVM_SET_MSRS") {
                unsafe ckvm_set_msrs(descriptor.rawValue, values, UInt32(values.count))
            }
            rest = rest.dropFirst(Int(count))
            guard let refused = rest.first else { return }
            // Some can be read and not be written; they have their value in any case.
            guard try modelSpecificRegister(refused.index) == refused.data else {
                throw .state(
                    """
                    this host's vCPU \(index) does not take 0x\(String(refused.data, radix: 16)) for MSR \
                    0x\(String(refused.index, radix: 16))
                    """
                )
            }
            rest = rest.dropFirst()
        }
    }
}

extension VCPUState {
    /// The CPUID entries that the guest was shown.
    package func savedCPUID() throws(KVMError) -> [kvm_cpuid_entry2] {
        try cpuid.loadElements(kvm_cpuid_entry2.self, "CPUID entries", maximum: Int(CKVM_CPUID_CAPACITY))
    }
}

extension kvm_lapic_state {
    /// Indicates whether the timer is in TSC-deadline mode (bits 18:17 of its vector table entry) and none of its
    /// interrupts is on its way.
    fileprivate var isWaitingForDeadline: Bool {
        unsafe withUnsafeBytes(of: regs) { registers -> Bool in
            let timer = unsafe registers.loadUnaligned(fromByteOffset: 0x320, as: UInt32.self)
            guard timer >> 17 & 3 == 2 else { return false }
            let requests = stride(from: 0x200, to: 0x280, by: 0x10).map {
                unsafe registers.loadUnaligned(fromByteOffset: $0, as: UInt32.self)
            }
            return requests.allSatisfy { $0 == 0 }
        }
    }
}
