// SPDX-License-Identifier: Apache-2.0

/// The prefixes of an instruction, less the segment override.
///
/// Intel SDM volume 2, 2.1.1 "Instruction Prefixes".
package struct Prefixes: OptionSet, Hashable, Sendable {
    /// One bit per prefix.
    package var rawValue: UInt8

    /// Makes a set from its bits.
    package init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// `66`.
    package static let operandSize = Prefixes(rawValue: 1 << 0)
    /// `67`.
    package static let addressSize = Prefixes(rawValue: 1 << 1)
    /// `f0`.
    package static let lock = Prefixes(rawValue: 1 << 2)
    /// `f2`, and no `f3` after it.
    package static let repeatNotEqual = Prefixes(rawValue: 1 << 3)
    /// `f3`, and no `f2` after it.
    package static let repeatEqual = Prefixes(rawValue: 1 << 4)
    /// `40` to `4f` in 64-bit code.
    package static let rex = Prefixes(rawValue: 1 << 5)
    /// `c4` or `c5`.
    package static let vex = Prefixes(rawValue: 1 << 6)
}

/// A set of mandatory prefixes: the prefix that selects among the instructions of one opcode.
///
/// An instruction has exactly one: `f2` or `f3` if present, else `66` if present, else none. A table entry has those
/// that it accepts.
package struct MandatoryPrefix: OptionSet, Hashable, Sendable {
    /// One bit per prefix.
    package var rawValue: UInt8

    /// Makes a set from its bits.
    package init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// No such prefix.
    package static let none = MandatoryPrefix(rawValue: 1 << 0)
    /// `66`.
    package static let p66 = MandatoryPrefix(rawValue: 1 << 1)
    /// `f3`.
    package static let pF3 = MandatoryPrefix(rawValue: 1 << 2)
    /// `f2`.
    package static let pF2 = MandatoryPrefix(rawValue: 1 << 3)
    /// Every prefix: they do not select.
    static let any: MandatoryPrefix = [.none, .p66, .pF3, .pF2]
    /// NFx in the manual: `66` only changes the operand size.
    static let noRepeat: MandatoryPrefix = [.none, .p66]
}
