// SPDX-License-Identifier: Apache-2.0

/// Vector functions that move lanes about, under their instructions' names where there is one.
enum Shuffles {
    static let copy: VectorFunction = { $0.source }
    /// The low quadword, zero-extended.
    static let copyLow: VectorFunction = { Vector128(low: $0.source.low) }
    /// The low quadword of the source, the high one of the destination.
    static let mergeLow: VectorFunction = { Vector128(low: $0.source.low, high: $0.destination.high) }
    /// The low doubleword of the source, the others of the destination.
    static let mergeLowDoubleword: VectorFunction = { operands in
        var result = operands.destination
        result.doublewords[0] = operands.source.doublewords[0]
        return result
    }
    /// `movhlps`.
    static let highToLow: VectorFunction = { Vector128(low: $0.source.high, high: $0.destination.high) }
    /// `movlhps`, `movhps` from memory and `punpcklqdq`.
    static let lowToHigh: VectorFunction = { Vector128(low: $0.destination.low, high: $0.source.low) }
    /// `punpckhqdq`.
    static let highs: VectorFunction = { Vector128(low: $0.destination.high, high: $0.source.high) }
    /// `movhps` to memory.
    static let high: VectorFunction = { Vector128(low: $0.source.high) }
    /// `movddup`.
    static let duplicateLow: VectorFunction = { Vector128(low: $0.source.low, high: $0.source.low) }

    /// `punpcklbw` (from 0) and `punpckhbw` (from 8).
    static func interleaveBytes(from start: Int) -> VectorFunction {
        { operands in
            var result = SIMD16<UInt8>.zero
            for index in 0..<8 {
                result[2 * index] = operands.destination.bytes[start + index]
                result[2 * index + 1] = operands.source.bytes[start + index]
            }
            return Vector128(bytes: result)
        }
    }

    /// `punpcklwd` (from 0) and `punpckhwd` (from 4).
    static func interleaveWords(from start: Int) -> VectorFunction {
        { operands in
            var result = SIMD8<UInt16>.zero
            for index in 0..<4 {
                result[2 * index] = operands.destination.words[start + index]
                result[2 * index + 1] = operands.source.words[start + index]
            }
            return Vector128(words: result)
        }
    }

    /// `punpckldq` (from 0) and `punpckhdq` (from 2).
    static func interleaveDoublewords(from start: Int) -> VectorFunction {
        { operands in
            let lhs = operands.destination.doublewords
            let rhs = operands.source.doublewords
            return Vector128(doublewords: SIMD4(lhs[start], rhs[start], lhs[start + 1], rhs[start + 1]))
        }
    }

    static let pshufd: VectorFunction = { operands in
        let source = operands.source.doublewords
        return Vector128(
            doublewords: SIMD4(
                source[selector(operands, 0)],
                source[selector(operands, 1)],
                source[selector(operands, 2)],
                source[selector(operands, 3)]
            )
        )
    }

    static let shufps: VectorFunction = { operands in
        let lhs = operands.destination.doublewords
        let rhs = operands.source.doublewords
        return Vector128(
            doublewords: SIMD4(
                lhs[selector(operands, 0)],
                lhs[selector(operands, 1)],
                rhs[selector(operands, 2)],
                rhs[selector(operands, 3)]
            )
        )
    }

    static let shufpd: VectorFunction = { operands in
        Vector128(
            low: operands.destination.quadwords[Int(operands.immediate & 1)],
            high: operands.source.quadwords[Int(operands.immediate >> 1 & 1)]
        )
    }

    /// `pshuflw` (from 0) and `pshufhw` (from 4).
    static func shuffleWords(from start: Int) -> VectorFunction {
        { operands in
            var result = operands.source.words
            for index in 0..<4 {
                result[start + index] = operands.source.words[start + selector(operands, index)]
            }
            return Vector128(words: result)
        }
    }

    private static func selector(_ operands: VectorOperands, _ index: Int) -> Int {
        Int(operands.immediate >> UInt8(2 * index) & 3)
    }

    static let pshufb: VectorFunction = { operands in
        var result = SIMD16<UInt8>.zero
        for index in 0..<16 {
            let selector = operands.source.bytes[index]
            result[index] = selector & 0x80 == 0 ? operands.destination.bytes[Int(selector & 15)] : 0
        }
        return Vector128(bytes: result)
    }

    static let palignr: VectorFunction = { operands in
        let count = 8 * Int(operands.immediate)
        let low = operands.source.integer >> count
        let high = operands.destination.integer << (128 - count)  // a shift by less than nothing goes to the right
        return Vector128(low | high)
    }

    static let pblendw: VectorFunction = { operands in
        var result = operands.destination.words
        for index in 0..<8 where operands.immediate >> UInt8(index) & 1 != 0 {
            result[index] = operands.source.words[index]
        }
        return Vector128(words: result)
    }

    static let pblendvb: VectorFunction = { operands in
        var result = operands.destination.bytes
        for index in 0..<16 where operands.implicit.bytes[index] & 0x80 != 0 {
            result[index] = operands.source.bytes[index]
        }
        return Vector128(bytes: result)
    }

    /// `pmovzx` and `pmovsx`: the lanes at the start of the source, each in a wider lane.
    static func extend(_ narrow: OperandWidth, to wide: OperandWidth, isSigned: Bool) -> VectorFunction {
        { operands in
            var result: UInt128 = 0
            for index in 0..<(16 / wide.byteCount) {
                var lane = narrow.truncate(operands.source.low >> (UInt64(index) * narrow.bitCount))
                if isSigned { lane = (lane ^ narrow.signBit) &- narrow.signBit }
                result |= UInt128(wide.truncate(lane)) << (UInt128(index) * UInt128(wide.bitCount))
            }
            return Vector128(result)
        }
    }

    // MARK: - Integers in and out

    static let pinsrb: VectorFunction = { operands in
        var result = operands.destination
        result.bytes[Int(operands.immediate & 15)] = operands.source.bytes[0]
        return result
    }

    static let pinsrw: VectorFunction = { operands in
        var result = operands.destination
        result.words[Int(operands.immediate & 7)] = operands.source.words[0]
        return result
    }

    /// `pinsrd` and `pinsrq`.
    static let pinsrd: VectorFunction = { operands in
        var result = operands.destination
        if operands.isWide {
            result.quadwords[Int(operands.immediate & 1)] = operands.source.low
        } else {
            result.doublewords[Int(operands.immediate & 3)] = operands.source.doublewords[0]
        }
        return result
    }

    static let pextrb: VectorExtraction = { UInt64($0.source.bytes[Int($0.immediate & 15)]) }
    static let pextrw: VectorExtraction = { UInt64($0.source.words[Int($0.immediate & 7)]) }
    /// `pextrd` and `pextrq`.
    static let pextrd: VectorExtraction = { operands in
        operands.isWide
            ? operands.source.quadwords[Int(operands.immediate & 1)]
            : UInt64(operands.source.doublewords[Int(operands.immediate & 3)])
    }
    /// `movd` and `movq`.
    static let low: VectorExtraction = { $0.source.low }

    static let pmovmskb: VectorExtraction = { operands in
        (0..<16).reduce(0) { $0 | UInt64(operands.source.bytes[$1] >> 7) << UInt64($1) }
    }
    static let movmskps: VectorExtraction = { operands in
        (0..<4).reduce(0) { $0 | UInt64(operands.source.doublewords[$1] >> 31) << UInt64($1) }
    }
    static let movmskpd: VectorExtraction = { $0.source.low >> 63 | ($0.source.high >> 63) << 1 }
}
