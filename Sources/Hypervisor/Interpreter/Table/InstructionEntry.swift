// SPDX-License-Identifier: Apache-2.0

/// One row of the instruction table: a set of encodings, and their operation.
struct InstructionEntry: Sendable {
    /// The form that `rm` of ModRM must have.
    enum Form: Sendable {
        /// A register or memory, or there is no ModRM.
        case any
        case register
        case memory
        /// A register with this number: `rm` extends the opcode.
        case exactly(UInt8)
    }

    /// The kind of encoding.
    enum Encoding: Sendable {
        /// No VEX prefix.
        case legacy
        /// A VEX prefix whose `vvvv` is an operand.
        case vex
        /// A VEX prefix whose `vvvv` must be 1111.
        case vexWithoutRegister
    }

    /// The vector lengths that VEX.L may choose.
    enum VectorLength: Sendable {
        /// VEX.L is 0.
        case only128
        /// Both.
        case any
        /// VEX.L is 1.
        case only256
    }

    let map: OpcodeMap
    let opcode: UInt8
    let prefix: MandatoryPrefix
    let encoding: Encoding
    let group: UInt8?
    let form: Form
    let isLockable: Bool
    let vectorLength: VectorLength
    /// The value that VEX.W must have; `nil` where it does not select.
    let isWide: Bool?
    let operation: Operation

    init(
        _ map: OpcodeMap,
        _ opcode: UInt8,
        _ prefix: MandatoryPrefix,
        encoding: Encoding = .legacy,
        group: UInt8? = nil,
        form: Form = .any,
        isLockable: Bool = false,
        vectorLength: VectorLength = .only128,
        isWide: Bool? = nil,
        _ operation: Operation
    ) {
        self.map = map
        self.opcode = opcode
        self.prefix = prefix
        self.encoding = encoding
        self.group = group
        self.form = form
        self.isLockable = isLockable
        self.vectorLength = vectorLength
        self.isWide = isWide
        self.operation = operation
    }

    /// Returns whether the row covers an instruction of its map and opcode.
    func matches(_ instruction: Instruction) -> Bool {
        guard prefix.contains(instruction.mandatoryPrefix) else { return false }
        guard (encoding == .legacy) != instruction.prefixes.contains(.vex) else { return false }
        switch vectorLength {
        case .only128: guard !instruction.isVector256 else { return false }
        case .any: break
        case .only256: guard instruction.isVector256 else { return false }
        }
        if let isWide, isWide != instruction.isWide { return false }
        guard let modRM = instruction.modRM else { return true }
        if let group, group != modRM.group { return false }
        return switch form {
        case .any: true
        case .register: modRM.isRegister
        case .memory: !modRM.isRegister
        case .exactly(let rm): modRM.isRegister && modRM.lowRM == rm
        }
    }
}
