// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Interpreter

@Suite struct InstructionTableTests {
    @Test func `no two rows cover the same encoding`() throws {
        var generator = SeededGenerator(seed: 7)
        for entry in InstructionTable.entries where entry.map != .primary {
            for _ in 0..<32 {
                guard let instruction = try? decode(TableRow(entry: entry).encoding(using: &generator).bytes)
                else { continue }
                let matches = InstructionTable.entries.filter {
                    $0.map == instruction.map && $0.opcode == instruction.opcode && $0.matches(instruction)
                }
                #expect(matches.count <= 1, "\(TableRow(entry: entry).testDescription)")
            }
        }
    }

    @Test(arguments: InstructionTable.entries.map { TableRow(entry: $0) }.filter { $0.entry.map != .primary })
    func `every row can be reached`(row: TableRow) throws {
        var generator = SeededGenerator(seed: 11)
        let isReached = (0..<64).contains { _ in
            var encoding = row.encoding(using: &generator)
            if case .exactly(let rm) = row.entry.form { encoding.rm = rm }
            guard let instruction = try? decode(encoding.bytes + [0, 0, 0, 0, 0]) else { return false }
            return row.entry.matches(instruction)
        }
        #expect(isReached)
    }
}
