// SPDX-License-Identifier: Apache-2.0

/// A ModRM byte with its REX or VEX extensions (Intel SDM volume 2, 2.1.3 "ModR/M and SIB Bytes").
package struct ModRM: Hashable, Sendable {
    /// `mod`: 3 for a register operand.
    package var mod: UInt8
    /// `reg`, extended to four bits.
    package var reg: UInt8
    /// `rm`, extended to four bits.
    package var rm: UInt8

    /// Indicates whether `rm` names a register.
    package var isRegister: Bool { mod == 3 }
    /// The three bits of `reg` that select an instruction in a group.
    var group: UInt8 { reg & 7 }
    /// The three bits of `rm` in the byte itself.
    var lowRM: UInt8 { rm & 7 }
    /// `reg` as a general-purpose register.
    package var register: GeneralRegister { GeneralRegister(encoding: reg) }
    /// `rm` as a general-purpose register.
    package var rmRegister: GeneralRegister { GeneralRegister(encoding: rm) }
}
