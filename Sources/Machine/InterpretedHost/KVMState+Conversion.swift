// SPDX-License-Identifier: Apache-2.0

import CKVM
import InstructionEmulator

extension Registers {
    init(_ regs: kvm_regs) {
        self.init(rip: regs.rip, rflags: RFlags(rawValue: regs.rflags))
        self[.rax] = regs.rax
        self[.rbx] = regs.rbx
        self[.rcx] = regs.rcx
        self[.rdx] = regs.rdx
        self[.rsi] = regs.rsi
        self[.rdi] = regs.rdi
        self[.rsp] = regs.rsp
        self[.rbp] = regs.rbp
        self[.r8] = regs.r8
        self[.r9] = regs.r9
        self[.r10] = regs.r10
        self[.r11] = regs.r11
        self[.r12] = regs.r12
        self[.r13] = regs.r13
        self[.r14] = regs.r14
        self[.r15] = regs.r15
    }
}

extension kvm_regs {
    init(_ registers: Registers) {
        self.init(
            rax: registers[.rax],
            rbx: registers[.rbx],
            rcx: registers[.rcx],
            rdx: registers[.rdx],
            rsi: registers[.rsi],
            rdi: registers[.rdi],
            rsp: registers[.rsp],
            rbp: registers[.rbp],
            r8: registers[.r8],
            r9: registers[.r9],
            r10: registers[.r10],
            r11: registers[.r11],
            r12: registers[.r12],
            r13: registers[.r13],
            r14: registers[.r14],
            r15: registers[.r15],
            rip: registers.rip,
            rflags: registers.rflags.rawValue
        )
    }
}

extension FloatingPointState {
    init(_ fpu: kvm_fpu) {
        self.init()
        controlWord = fpu.fcw
        statusWord = fpu.fsw
        abridgedTagWord = fpu.ftwx
        lastOpcode = fpu.last_opcode
        lastInstructionPointer = fpu.last_ip
        lastDataPointer = fpu.last_dp
        mxcsr = fpu.mxcsr
        // Both are arrays of 16 bytes for each register, of any value.
        unsafe withUnsafeBytes(of: fpu.fpr) { bytes in
            for index in stack.indices { unsafe stack[index] = Vector128(bytes, index: index) }
        }
        unsafe withUnsafeBytes(of: fpu.xmm) { bytes in
            for index in xmm.indices { unsafe xmm[index] = Vector128(bytes, index: index) }
        }
    }
}

extension kvm_fpu {
    init(_ state: FloatingPointState) {
        self.init()
        fcw = state.controlWord
        fsw = state.statusWord
        ftwx = state.abridgedTagWord
        last_opcode = state.lastOpcode
        last_ip = state.lastInstructionPointer
        last_dp = state.lastDataPointer
        mxcsr = state.mxcsr
        unsafe withUnsafeMutableBytes(of: &fpr) { bytes in
            for index in state.stack.indices { unsafe state.stack[index].store(into: bytes, index: index) }
        }
        unsafe withUnsafeMutableBytes(of: &xmm) { bytes in
            for index in state.xmm.indices { unsafe state.xmm[index].store(into: bytes, index: index) }
        }
    }
}

extension Vector128 {
    fileprivate init(_ bytes: UnsafeRawBufferPointer, index: Int) {
        self.init(
            low: unsafe bytes.loadUnaligned(fromByteOffset: 16 * index, as: UInt64.self),
            high: unsafe bytes.loadUnaligned(fromByteOffset: 16 * index + 8, as: UInt64.self)
        )
    }

    fileprivate func store(into bytes: UnsafeMutableRawBufferPointer, index: Int) {
        unsafe bytes.storeBytes(of: low, toByteOffset: 16 * index, as: UInt64.self)
        unsafe bytes.storeBytes(of: high, toByteOffset: 16 * index + 8, as: UInt64.self)
    }
}
