// SPDX-License-Identifier: Apache-2.0

/// Recognises and repairs a SYSCALL that reached the kernel's entry point without the change to CPL 0.
///
/// Some hosts' KVM executes SYSCALL at CPL 3 as it should in all but one respect: it sets RCX, R11, RFLAGS and RIP, and
/// stays at CPL 3. The fetch at LSTAR then faults, and the guest enters its page fault handler at CPL 0. When the
/// handler's first instruction, or the one behind ENDBR64, is one that KVM cannot emulate, such as `clac`, the VMM gets to look. If all the evidence is
/// there, it takes the exception back: the CPU continues at LSTAR with the registers that SYSCALL left, at CPL 0.
///
/// A user program can jump to LSTAR by itself, which is a page fault of the same shape and must stay one: otherwise it
/// would enter the kernel with an R11 of its choice. The difference is in RFLAGS, which SYSCALL masks with FMASK. When FMASK
/// includes IF, as it does on Linux, a genuine SYSCALL arrives with IF clear, while user code runs with IF set and cannot clear
/// it: for `cli` and `popf` to do so takes an IOPL of 3, which is refused here as well.
///
/// Intel SDM volume 2, "SYSCALL"; AMD APM volume 3, "SYSCALL".
package struct SyscallRepair: Hashable, Sendable {
    /// IA32_LSTAR: where SYSCALL enters the kernel, or 0 when the guest has not set it.
    package var lstar: UInt64
    /// IA32_FMASK: the flags that SYSCALL clears.
    package var fmask: UInt64

    /// Makes the rule for a virtual CPU.
    package init(lstar: UInt64 = 0, fmask: UInt64 = 0) {
        self.lstar = lstar
        self.fmask = fmask
    }

    /// The page fault error code of a fetch at CPL 3 from a supervisor page: present, user, instruction.
    ///
    /// The processor sets the last bit only with EFER.NXE or CR4.SMEP; Linux always has NXE where there is SYSCALL.
    private static let errorCode: UInt64 = 0x15

    /// The size of ENDBR64.
    package static let endBranchByteCount = 4

    /// Tells whether code begins with ENDBR64, as the handlers of a kernel for indirect branch tracking do: KVM executes it.
    package static func isEndBranch(_ code: RawSpan) -> Bool {
        code.integer(at: 0) == UInt32(0xfa1e_0ff3)
    }

    /// Indicates whether the rule can ever apply; when it cannot, the CPU's tables need not be read.
    package var isArmed: Bool {
        lstar != 0 && maskedFlags.contains(.interruptEnable)
    }

    private var maskedFlags: RFlags { RFlags(rawValue: fmask) }

    /// The registers with which the CPU must continue, if it stands at the start of a page fault handler because of a
    /// SYSCALL.
    ///
    /// - Parameters:
    ///   - registers: The registers, with RIP at the instruction that could not be emulated.
    ///   - cs: The CPU's code segment selector.
    ///   - cr2: CR2.
    ///   - gate: Entry 14 of the interrupt descriptor table.
    ///   - hasEndBranch: Whether the handler begins with ENDBR64.
    ///   - frame: What lies at RSP.
    /// - Returns: The registers as SYSCALL should have left them, for CPL 0; nil if this is not such a fault.
    package func repairedRegisters(
        _ registers: Registers,
        cs: UInt16,
        cr2: UInt64,
        gate: InterruptGate,
        hasEndBranch: Bool,
        frame: PageFaultFrame
    ) -> Registers? {
        let start = gate.handler &+ (hasEndBranch ? UInt64(Self.endBranchByteCount) : 0)
        let isAtHandler = gate.isUsable && registers.rip == start && cs & 3 == 0
        guard isArmed, isAtHandler else { return nil }
        let isFetchAtEntry =
            frame.errorCode == Self.errorCode && frame.rip == lstar && cr2 == lstar
            && frame.cs & 3 == 3 && frame.ss & 3 == 3
        guard isFetchAtEntry, isFromSyscall(frame.rflags, savedFlags: RFlags(rawValue: registers[.r11])) else {
            return nil
        }
        var repaired = registers
        repaired.rip = lstar
        repaired[.rsp] = frame.rsp
        repaired.rflags = frame.rflags.subtracting(.resume).union(.alwaysOne)
        return repaired
    }

    /// Returns whether flags are what SYSCALL makes of the flags that it saves in R11.
    ///
    /// RF is left out: SYSCALL clears it, and the fault that follows may push it set.
    private func isFromSyscall(_ flags: RFlags, savedFlags: RFlags) -> Bool {
        let ignored: RFlags = [.resume, .alwaysOne]
        let expected = savedFlags.subtracting(maskedFlags).subtracting(ignored)
        let isUserState = savedFlags.contains(.interruptEnable) && savedFlags.isDisjoint(with: .ioPrivilegeLevel)
        return !flags.contains(.interruptEnable) && flags.isDisjoint(with: .ioPrivilegeLevel)
            && flags.subtracting(ignored).isDisjoint(with: maskedFlags)
            && flags.subtracting(ignored) == expected && isUserState
    }
}
