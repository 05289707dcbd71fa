// SPDX-License-Identifier: Apache-2.0

/// The instructions that the emulator executes.
///
/// The rows are written by topic in the extensions of this type and indexed by map and opcode on first use.
enum InstructionTable {
    /// Every row.
    static let entries: [InstructionEntry] =
        control + integers + bitManipulation + state + vectorMoves + vectorIntegers + vectorShuffles + cryptography
        + vexTwins + vexOnly

    private static let index: [[InstructionEntry]] = {
        var index = [[InstructionEntry]](repeating: [], count: 4 * 256)
        for entry in entries { index[slot(entry.map, entry.opcode)].append(entry) }
        return index
    }()

    /// The row for an instruction, if there is one.
    static func entry(for instruction: Instruction) -> InstructionEntry? {
        index[slot(instruction.map, instruction.opcode)].first { $0.matches(instruction) }
    }

    private static func slot(_ map: OpcodeMap, _ opcode: UInt8) -> Int {
        Int(map.rawValue) << 8 | Int(opcode)
    }
}
