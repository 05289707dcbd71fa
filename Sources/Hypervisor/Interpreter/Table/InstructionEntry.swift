// SPDX-License-Identifier: Apache-2.0

/// One row of the instruction table: which encodings it covers, and what they do.
struct InstructionEntry: Sendable {
    /// What `rm` of ModRM has to be.
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
        /// A 128-bit VEX prefix whose `vvvv` is an operand.
        case vex
        /// A 128-bit VEX prefix whose `vvvv` must be 1111.
        case vexWithoutRegister
    }

    let map: OpcodeMap
    let opcode: UInt8
    let prefix: MandatoryPrefix
    let encoding: Encoding
    let group: UInt8?
    let form: Form
    let isLockable: Bool
    let operation: Operation

    init(
        _ map: OpcodeMap,
        _ opcode: UInt8,
        _ prefix: MandatoryPrefix,
        encoding: Encoding = .legacy,
        group: UInt8? = nil,
        form: Form = .any,
        isLockable: Bool = false,
        _ operation: Operation
    ) {
        self.map = map
        self.opcode = opcode
        self.prefix = prefix
        self.encoding = encoding
        self.group = group
        self.form = form
        self.isLockable = isLockable
        self.operation = operation
    }

    /// Whether the row covers an instruction of its map and opcode.
    func matches(_ instruction: Instruction) -> Bool {
        guard prefix.contains(instruction.mandatoryPrefix) else { return false }
        guard (encoding == .legacy) != instruction.prefixes.contains(.vex) else { return false }
        guard !instruction.isVector256 else { return false }
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
