// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Interpreter

/// A row of the instruction table as a test argument.
struct TableRow: Sendable, CustomTestStringConvertible {
    let entry: InstructionEntry

    /// The rows whose instructions user mode may execute, and whose results depend on their operands only.
    static let comparable = InstructionTable.entries.map { TableRow(entry: $0) }.filter(\.isComparable)

    var testDescription: String {
        let prefix =
            switch entry.prefix {
            case .none: "np"
            case .p66: "66"
            case .pF3: "f3"
            case .pF2: "f2"
            default: "any"
            }
        let group = entry.group.map { " /\($0)" } ?? ""
        let vex = entry.encoding == .legacy ? "" : "vex "
        let length = entry.vectorLength == .only128 ? "" : " \(entry.vectorLength)"
        let wide = entry.isWide.map { " w\($0 ? 1 : 0)" } ?? ""
        return "\(vex)\(prefix) \(entry.map) \(String(entry.opcode, radix: 16))\(group) \(entry.form)\(length)\(wide)"
    }

    private var isComparable: Bool {
        switch entry.operation {
        case .integer, .vector, .vectorShift, .vectorStore, .vectorInsert, .vectorExtract, .vectorMask, .vectorTest,
            .wideVector, .extractHalf, .compareExchangePair, .storeBigEndian, .multiplyWithoutFlags:
            true
        default: false
        }
    }

    /// The features that the processor must have to execute the row's instructions.
    var feature: NativeCPU.Feature {
        if entry.encoding != .legacy, isVector {
            switch (entry.map, entry.opcode) {
            case (.map0F38, 0xDC...0xDF): return .vaes
            case (.map0F3A, 0x44): return .vpclmulqdq
            default: return entry.vectorLength == .only128 ? .avx : .avx2
            }
        }
        return switch (entry.map, entry.opcode, entry.prefix) {
        case (.map0F, 0xB8, .pF3): .popcnt
        case (.map0F, 0xBC, .pF3): .bmi1
        case (.map0F, 0xBD, .pF3): .lzcnt
        case (.map0F, 0xC7, _): .cmpxchg16b
        case (.map0F, 0x12, .pF2), (.map0F, 0xF0, .pF2): .sse3
        case (.map0F, _, _): .sse2
        case (.map0F38, 0xF0...0xF1, .pF2): .sse42
        case (.map0F38, 0xF0...0xF1, _): .movbe
        case (.map0F38, 0xF6, _) where entry.encoding == .legacy: .adx
        case (.map0F38, 0xF2...0xF3, _): .bmi1
        case (.map0F38, 0xF7, .none): .bmi1
        case (.map0F38, 0xF5...0xF7, _), (.map0F3A, 0xF0, _): .bmi2
        case (.map0F38, 0x00...0x0B, _), (.map0F38, 0x1C...0x1E, _), (.map0F3A, 0x0F, _): .ssse3
        case (.map0F38, 0x37, _): .sse42
        case (.map0F38, 0xC8...0xCD, _), (.map0F3A, 0xCC, _): .sha
        case (.map0F38, 0xDB...0xDF, _), (.map0F3A, 0xDF, _): .aes
        case (.map0F3A, 0x44, _): .pclmulqdq
        default: .sse41
        }
    }

    private var isVector: Bool {
        switch entry.operation {
        case .integer, .compareExchangePair, .storeBigEndian, .multiplyWithoutFlags: false
        default: true
        }
    }

    /// The flags that the manuals leave undefined after the row's instructions.
    var undefinedFlags: RFlags {
        switch (entry.map, entry.opcode, entry.encoding) {
        case (.map0F, 0xBC...0xBD, .legacy): [.overflow, .sign, .parity, .auxiliaryCarry]
        case (.map0F38, 0xF7, .vex) where entry.prefix == .none: [.sign, .parity, .auxiliaryCarry]
        case (.map0F38, 0xF2...0xF5, .vex) where entry.prefix == .none: [.parity, .auxiliaryCarry]
        default: []
        }
    }

    /// The fields of ModRM that name a general-purpose register.
    private var generalOperands: (reg: Bool, rm: Bool) {
        switch entry.operation {
        case .integer, .multiplyWithoutFlags, .storeBigEndian, .compareExchangePair: (true, true)
        case .vectorInsert, .vectorExtract: (false, true)
        case .vectorMask: (true, false)
        default: (false, false)
        }
    }

    private var hasImmediate: Bool {
        switch (entry.map, entry.opcode) {
        case (.map0F3A, _), (.map0F, 0x70...0x73), (.map0F, 0xC4...0xC6): true
        default: false
        }
    }

    /// Any instruction that the row covers, without RSP among its operands.
    func encoding(using generator: inout SeededGenerator) -> Encoding {
        func register(isGeneral: Bool, _ generator: inout SeededGenerator) -> UInt8 {
            let number = UInt8(generator.next() % 16)
            return isGeneral && number == 4 ? 12 : number
        }
        let prefixes: [MandatoryPrefix] = [.none, .p66, .pF3, .pF2].filter { entry.prefix.contains($0) }
        var encoding = Encoding(
            map: entry.map,
            opcode: entry.opcode,
            prefix: prefixes[Int(generator.next() % UInt64(prefixes.count))],
            reg: register(isGeneral: generalOperands.reg, &generator),
            rm: register(isGeneral: generalOperands.rm, &generator)
        )
        if let group = entry.group { encoding.reg = generator.next() & 1 == 0 ? group : group | 8 }
        encoding.isVEX = entry.encoding != .legacy
        if entry.encoding == .vex { encoding.vexRegister = register(isGeneral: true, &generator) }
        encoding.isWide = entry.isWide ?? (generator.next() & 1 == 0)
        switch entry.vectorLength {
        case .only128: break
        case .any: encoding.isVector256 = generator.next() & 1 == 0
        case .only256: encoding.isVector256 = true
        }
        let isRepeat = encoding.prefix == .pF3 || encoding.prefix == .pF2
        encoding.hasOperandSizePrefix = !encoding.isVEX && isRepeat && generator.next() % 4 == 0
        if hasImmediate { encoding.immediate = UInt8(truncatingIfNeeded: generator.interesting()) }
        let isMemory =
            switch entry.form {
            case .memory: true
            case .any: generator.next() & 1 == 0
            default: false
            }
        if isMemory {
            if encoding.rm == 4 { encoding.rm = 12 }
            // A multiple of the largest vector: some instructions want it.
            encoding.displacement = Int8(truncatingIfNeeded: generator.next()) & 0x60
        }
        return encoding
    }
}
