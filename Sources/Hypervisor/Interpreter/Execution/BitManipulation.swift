// SPDX-License-Identifier: Apache-2.0

/// The integer functions of the table, under their instructions' names.
///
/// Flags that the manuals leave undefined keep their value, except where noted.
enum BitManipulation {
    static func popcnt(_ operands: inout IntegerOperands) -> UInt64 {
        operands.flags.subtract(.arithmetic)
        operands.flags.set(.zero, to: operands.source == 0)
        return UInt64(operands.source.nonzeroBitCount)
    }

    static func tzcnt(_ operands: inout IntegerOperands) -> UInt64 {
        let isZero = operands.source == 0
        let result = isZero ? operands.width.bitCount : UInt64(operands.source.trailingZeroBitCount)
        operands.flags.set(.carry, to: isZero)
        operands.flags.set(.zero, to: result == 0)
        return result
    }

    static func lzcnt(_ operands: inout IntegerOperands) -> UInt64 {
        let result = UInt64(operands.source.leadingZeroBitCount) - (64 - operands.width.bitCount)
        operands.flags.set(.carry, to: operands.source == 0)
        operands.flags.set(.zero, to: result == 0)
        return result
    }

    /// CRC-32C of one operand, least significant bit first (polynomial `0x1EDC6F41`, reflected here).
    static func crc32(_ operands: inout IntegerOperands) -> UInt64 {
        var crc = UInt32(truncatingIfNeeded: operands.register)
        for index in 0..<operands.sourceWidth.byteCount {
            crc ^= UInt32(operands.source >> UInt64(8 * index) & 0xFF)
            for _ in 0..<8 { crc = crc >> 1 ^ (crc & 1 == 0 ? 0 : 0x82F6_3B78) }
        }
        return UInt64(crc)
    }

    static func movbe(_ operands: inout IntegerOperands) -> UInt64 {
        operands.source.byteSwapped >> (64 - operands.width.bitCount)
    }

    static func adcx(_ operands: inout IntegerOperands) -> UInt64 {
        add(&operands, carryFlag: .carry)
    }

    static func adox(_ operands: inout IntegerOperands) -> UInt64 {
        add(&operands, carryFlag: .overflow)
    }

    private static func add(_ operands: inout IntegerOperands, carryFlag: RFlags) -> UInt64 {
        let carry: UInt128 = operands.flags.contains(carryFlag) ? 1 : 0
        let sum = UInt128(operands.register) + UInt128(operands.source) + carry
        operands.flags.set(carryFlag, to: sum >> UInt128(operands.width.bitCount) != 0)
        return UInt64(truncatingIfNeeded: sum)
    }

    static func andn(_ operands: inout IntegerOperands) -> UInt64 {
        let result = ~operands.vexRegister & operands.source
        operands.setFlags(for: result)
        return result
    }

    static func bextr(_ operands: inout IntegerOperands) -> UInt64 {
        let start = operands.vexRegister & 0xFF
        let count = operands.vexRegister >> 8 & 0xFF
        let shifted = start < 64 ? operands.source >> start : 0
        let result = count < 64 ? shifted & ((1 << count) - 1) : shifted
        operands.flags.subtract([.carry, .overflow])
        operands.flags.set(.zero, to: result == 0)
        return result
    }

    static func blsi(_ operands: inout IntegerOperands) -> UInt64 {
        let result = operands.source & (0 &- operands.source)
        operands.setFlags(for: result, carry: operands.source != 0)
        return result
    }

    static func blsmsk(_ operands: inout IntegerOperands) -> UInt64 {
        let result = operands.source ^ (operands.source &- 1)
        operands.setFlags(for: result, carry: operands.source == 0)
        operands.flags.subtract(.zero)
        return result
    }

    static func blsr(_ operands: inout IntegerOperands) -> UInt64 {
        let result = operands.source & (operands.source &- 1)
        operands.setFlags(for: result, carry: operands.source == 0)
        return result
    }

    static func bzhi(_ operands: inout IntegerOperands) -> UInt64 {
        let index = operands.vexRegister & 0xFF
        let isBeyond = index >= operands.width.bitCount
        let result = isBeyond ? operands.source : operands.source & ((1 << index) - 1)
        operands.setFlags(for: result, carry: isBeyond)
        return result
    }

    static func pdep(_ operands: inout IntegerOperands) -> UInt64 {
        var mask = operands.source
        var bits = operands.vexRegister
        var result: UInt64 = 0
        while mask != 0 {
            let lowest = mask & (0 &- mask)
            if bits & 1 != 0 { result |= lowest }
            bits >>= 1
            mask ^= lowest
        }
        return result
    }

    static func pext(_ operands: inout IntegerOperands) -> UInt64 {
        var mask = operands.source
        var result: UInt64 = 0
        var next: UInt64 = 1
        while mask != 0 {
            let lowest = mask & (0 &- mask)
            if operands.vexRegister & lowest != 0 { result |= next }
            next <<= 1
            mask ^= lowest
        }
        return result
    }

    static func rorx(_ operands: inout IntegerOperands) -> UInt64 {
        let bitCount = operands.width.bitCount
        let count = UInt64(operands.immediate) & (bitCount - 1)
        return operands.source >> count | operands.source << (bitCount - count)
    }

    static func shlx(_ operands: inout IntegerOperands) -> UInt64 {
        operands.source << shiftCount(operands)
    }

    static func shrx(_ operands: inout IntegerOperands) -> UInt64 {
        operands.source >> shiftCount(operands)
    }

    static func sarx(_ operands: inout IntegerOperands) -> UInt64 {
        let sign = operands.width.signBit
        let extended = Int64(bitPattern: (operands.source ^ sign) &- sign)
        return UInt64(bitPattern: extended >> Int64(shiftCount(operands)))
    }

    private static func shiftCount(_ operands: IntegerOperands) -> UInt64 {
        operands.vexRegister & (operands.width.bitCount - 1)
    }
}
