// SPDX-License-Identifier: Apache-2.0

/// The RFLAGS register.
///
/// Intel SDM volume 1, 3.4.3 "EFLAGS Register"; AMD APM volume 2, 3.1.6 "RFLAGS Register".
package struct RFlags: OptionSet, Hashable, Sendable {
    /// The 64 bits as the processor stores them.
    package var rawValue: UInt64

    /// Makes flags from the register's 64 bits.
    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// CF: carry out of the most significant bit.
    package static let carry = RFlags(rawValue: 1 << 0)
    /// Bit 1, which always reads as one.
    package static let alwaysOne = RFlags(rawValue: 1 << 1)
    /// PF: the low byte of the result has an even number of ones.
    package static let parity = RFlags(rawValue: 1 << 2)
    /// AF: carry out of bit 3.
    package static let auxiliaryCarry = RFlags(rawValue: 1 << 4)
    /// ZF: the result is zero.
    package static let zero = RFlags(rawValue: 1 << 6)
    /// SF: the most significant bit of the result.
    package static let sign = RFlags(rawValue: 1 << 7)
    /// TF: single-step trap after the next instruction.
    package static let trap = RFlags(rawValue: 1 << 8)
    /// IF: maskable interrupts are taken.
    package static let interruptEnable = RFlags(rawValue: 1 << 9)
    /// DF: string instructions count down.
    package static let direction = RFlags(rawValue: 1 << 10)
    /// OF: signed overflow.
    package static let overflow = RFlags(rawValue: 1 << 11)
    /// IOPL: both bits of the I/O privilege level.
    package static let ioPrivilegeLevel = RFlags(rawValue: 3 << 12)
    /// NT: the current task was called by another.
    package static let nestedTask = RFlags(rawValue: 1 << 14)
    /// RF: instruction breakpoints are ignored for one instruction.
    package static let resume = RFlags(rawValue: 1 << 16)
    /// VM: virtual-8086 mode.
    package static let virtual8086 = RFlags(rawValue: 1 << 17)
    /// AC: alignment checks at CPL 3, and permission to access user pages at CPL 0 under SMAP.
    package static let alignmentCheck = RFlags(rawValue: 1 << 18)
    /// VIF: virtual image of IF.
    package static let virtualInterrupt = RFlags(rawValue: 1 << 19)
    /// VIP: a virtual interrupt is pending.
    package static let virtualInterruptPending = RFlags(rawValue: 1 << 20)
    /// ID: the processor has CPUID.
    package static let identification = RFlags(rawValue: 1 << 21)

    /// The six flags that arithmetic instructions set.
    package static let arithmetic: RFlags = [.carry, .parity, .auxiliaryCarry, .zero, .sign, .overflow]

    /// Sets the flags of `mask` to `isSet` and leaves the others.
    mutating func set(_ mask: RFlags, to isSet: Bool) {
        if isSet { formUnion(mask) } else { subtract(mask) }
    }
}
