// SPDX-License-Identifier: Apache-2.0

/// The general-purpose registers, the instruction pointer and the flags.
package struct Registers: Sendable {
    private var general: [16 of UInt64]

    /// RIP: the address of the instruction to execute, relative to the code segment.
    package var rip: UInt64
    package var rflags: RFlags

    /// Makes a register file with every general-purpose register zero.
    package init(rip: UInt64 = 0, rflags: RFlags = .alwaysOne) {
        self.general = [16 of UInt64](repeating: 0)
        self.rip = rip
        self.rflags = rflags
    }

    /// All 64 bits of one general-purpose register.
    package subscript(register: GeneralRegister) -> UInt64 {
        get { general[Int(register.rawValue)] }
        set { general[Int(register.rawValue)] = newValue }
    }

    /// The low bits of a register, zero-extended.
    func read(_ register: GeneralRegister, width: OperandWidth) -> UInt64 {
        width.truncate(self[register])
    }

    /// Writes the low bits of a register as an instruction of that operand size does.
    ///
    /// A 32-bit result is zero-extended to 64 bits; 8-bit and 16-bit results leave the upper bits alone (Intel SDM
    /// volume 1, 3.4.1.1 "General-Purpose Registers in 64-Bit Mode").
    mutating func write(_ value: UInt64, to register: GeneralRegister, width: OperandWidth) {
        switch width {
        case .byte, .word: self[register] = self[register] & ~width.mask | width.truncate(value)
        case .doubleword, .quadword: self[register] = width.truncate(value)
        }
    }
}

extension Registers: Equatable {
    /// Returns whether all registers have the same values.
    package static func == (lhs: Registers, rhs: Registers) -> Bool {
        lhs.rip == rhs.rip && lhs.rflags == rhs.rflags
            && GeneralRegister.allCases.allSatisfy { lhs[$0] == rhs[$0] }
    }
}
