// SPDX-License-Identifier: Apache-2.0

@testable import Interpreter

/// An instruction to be assembled, written independently of the decoder.
struct Encoding {
    var map: OpcodeMap
    var opcode: UInt8
    /// One of the mandatory prefixes.
    var prefix: MandatoryPrefix = .none
    /// `66` in addition to a mandatory `f2` or `f3`.
    var hasOperandSizePrefix = false
    var isVEX = false
    var vexRegister: UInt8 = 0
    /// VEX.L.
    var isVector256 = false
    var isWide = false
    var reg: UInt8
    var rm: UInt8
    /// A memory operand at `rm` plus this displacement; nil for a register.
    var displacement: Int8?
    var immediate: UInt8?

    /// The instruction's bytes.
    var bytes: [UInt8] {
        var bytes = isVEX ? vexPrefixAndOpcode : legacyPrefixesAndOpcode
        let mod: UInt8 = displacement == nil ? 3 : 1
        bytes.append(mod << 6 | (reg & 7) << 3 | rm & 7)
        if let displacement {
            if rm & 7 == 4 { bytes.append(0x24) }  // SIB: base and no index
            bytes.append(UInt8(bitPattern: displacement))
        }
        if let immediate { bytes.append(immediate) }
        return bytes
    }

    private var legacyPrefixesAndOpcode: [UInt8] {
        var bytes: [UInt8] = hasOperandSizePrefix ? [0x66] : []
        switch prefix {
        case .p66: bytes.append(0x66)
        case .pF3: bytes.append(0xF3)
        case .pF2: bytes.append(0xF2)
        default: break
        }
        let rex = (isWide ? 8 : 0) | (reg >> 3) << 2 | rm >> 3
        if rex != 0 { bytes.append(0x40 | rex) }
        switch map {
        case .primary: break
        case .map0F: bytes.append(0x0F)
        case .map0F38: bytes += [0x0F, 0x38]
        case .map0F3A: bytes += [0x0F, 0x3A]
        }
        return bytes + [opcode]
    }

    private var vexPrefixAndOpcode: [UInt8] {
        let pp: UInt8 =
            switch prefix {
            case .p66: 1
            case .pF3: 2
            case .pF2: 3
            default: 0
            }
        let last = (vexRegister ^ 15) << 3 | (isVector256 ? 4 : 0) | pp
        if map == .map0F && !isWide && rm < 8 {
            return [0xC5, (reg < 8 ? 0x80 : 0) | last, opcode]
        }
        let first: UInt8 = (reg < 8 ? 0x80 : 0) | 0x40 | (rm < 8 ? 0x20 : 0) | map.rawValue
        return [0xC4, first, (isWide ? 0x80 : 0) | last, opcode]
    }
}
