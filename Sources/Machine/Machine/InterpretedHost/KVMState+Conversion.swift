// SPDX-License-Identifier: Apache-2.0

import CKVM
import Interpreter
import KVM

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

extension [UInt8] {
    /// Stores x87 and SSE state into an XSAVE area, and marks both as in use: components that are not in use count as initial.
    mutating func store(_ state: FloatingPointState) {
        var elements = mutableSpan
        // Bytes of a byte array: any value is valid.
        var area = unsafe elements.mutableBytes
        state.store(intoLegacyRegion: &area)
        let componentBits = Int(512)
        let inUse = unsafe area.bytes.unsafeLoadUnaligned(fromByteOffset: componentBits, as: UInt64.self)
        area.storeBytes(of: inUse | 1 << 0 | 1 << 1, toByteOffset: componentBits, as: UInt64.self)
    }
}

extension HostProcessor {
    /// The state components beyond x87 and SSE that fit the area that KVM gives (CPUID leaf 0Dh).
    static let extendedStateComponents: [ExtendedState.Component] = (2...62).compactMap { index in
        let (byteCount, offset, flags, _) = cpuid(leaf: 0xd, subleaf: UInt32(index))
        let end = UInt64(offset) + UInt64(byteCount)
        guard byteCount > 0, offset >= 576, end <= 4096 else { return nil }
        return ExtendedState.Component(
            index: index,
            standardOffset: Int(offset),
            byteCount: Int(byteCount),
            isAligned: flags & 1 << 1 != 0
        )
    }
}
