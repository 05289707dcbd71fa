// SPDX-License-Identifier: Apache-2.0

import CKVM
import GuestMemory
package import KVM
package import LinuxBoot

extension KVMVCPU {
    /// Puts the vCPU before the first instruction of the kernel.
    package func enter(_ state: BootState) throws(KVMError) {
        var special = try specialRegisters()
        special.cr0 = state.cr0
        special.cr3 = state.cr3
        special.cr4 = state.cr4
        special.efer = state.efer
        special.gdt.base = state.gdtBase.rawValue
        special.gdt.limit = state.gdtLimit
        special.idt.base = 0
        special.idt.limit = 0
        special.cs = kvm_segment(state.code)
        let data = kvm_segment(state.data)
        (special.ds, special.es, special.fs, special.gs, special.ss) = (data, data, data, data, data)
        special.tr = kvm_segment(state.task)
        try setSpecialRegisters(special)
        var general = kvm_regs()
        general.rip = state.instructionPointer.rawValue
        general.rsp = state.stackPointer
        general.rsi = state.rsi
        general.rbx = state.rbx
        general.rflags = state.flags
        try setGeneralRegisters(general)
    }
}

extension kvm_segment {
    fileprivate init(_ segment: BootState.Segment) {
        self.init()
        base = segment.base
        limit = segment.limit
        selector = segment.selector
        type = segment.type
        present = 1
        s = segment.isCodeOrData ? 1 : 0
        l = segment.isLong ? 1 : 0
        db = segment.isDefault32 ? 1 : 0
        g = segment.isGranular ? 1 : 0
    }
}
