// SPDX-License-Identifier: Apache-2.0

import CKVM
import KVM

extension KVMVCPU {
    /// The error for the instruction at RIP, with all that a report of it should contain.
    func unsupportedInstruction(reason: String, code: [UInt8]? = nil) throws(MachineError) -> MachineError {
        do throws(KVMError) {
            let general = try generalRegisters()
            let special = try specialRegisters()
            let registers: [(String, UInt64)] = [
                ("rip", general.rip), ("rflags", general.rflags), ("rsp", general.rsp), ("rbp", general.rbp),
                ("rax", general.rax), ("rbx", general.rbx), ("rcx", general.rcx), ("rdx", general.rdx),
                ("rsi", general.rsi), ("rdi", general.rdi), ("r8", general.r8), ("r9", general.r9),
                ("r10", general.r10), ("r11", general.r11), ("r12", general.r12), ("r13", general.r13),
                ("r14", general.r14), ("r15", general.r15), ("cs", UInt64(special.cs.selector)), ("cr0", special.cr0),
                ("cr2", special.cr2), ("cr3", special.cr3), ("cr4", special.cr4), ("efer", special.efer),
            ]
            return .instruction(
                UnsupportedInstruction(
                    vcpu: index,
                    reason: reason,
                    bytes: code ?? emulationFailureBytes(),
                    registers: registers.map { .init(name: $0, value: $1) }
                )
            )
        } catch {
            throw .kvm(error)
        }
    }
}
