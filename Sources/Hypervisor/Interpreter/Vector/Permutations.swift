// SPDX-License-Identifier: Apache-2.0

/// Functions of whole vectors, whose results cross the halves of a YMM register (Intel SDM volume 2).
enum Permutations {
    /// `vpermd`: each doubleword of the result is the one of the source that the first operand's low bits name.
    static let doublewords: WideFunction = { operands in
        let source = lanes(operands.source)
        return vector(lanes(operands.first).map { source[Int($0 & 7)] })
    }

    /// `vpermq`, `vpermpd`: two bits of the immediate for each quadword.
    static let quadwords: WideFunction = { operands in
        let source = operands.source
        let quadwords = [source.lower.low, source.lower.high, source.upper.low, source.upper.high]
        let chosen = (0..<4).map { quadwords[Int(operands.immediate >> (2 * $0) & 3)] }
        return Vector256(
            lower: Vector128(low: chosen[0], high: chosen[1]),
            upper: Vector128(low: chosen[2], high: chosen[3])
        )
    }

    /// `vperm2f128`, `vperm2i128`.
    static let halves: WideFunction = { operands in
        let choices = [operands.first.lower, operands.first.upper, operands.source.lower, operands.source.upper]
        let half = { (bits: UInt8) in bits & 8 != 0 ? Vector128() : choices[Int(bits & 3)] }
        return Vector256(lower: half(operands.immediate), upper: half(operands.immediate >> 4))
    }

    /// `vpblendd`: a bit of the immediate for each doubleword.
    static let blendDoublewords: WideFunction = { operands in
        let pairs = zip(lanes(operands.first), lanes(operands.source)).enumerated()
        return vector(pairs.map { operands.immediate >> $0 & 1 == 0 ? $1.0 : $1.1 })
    }

    /// `vpblendvb`: the highest bit of each byte of the mask.
    static let blendBytes: WideFunction = { operands in
        func blend(_ first: Vector128, _ source: Vector128, _ mask: Vector128) -> Vector128 {
            Vector128(bytes: first.bytes.replacing(with: source.bytes, where: mask.bytes .>= 0x80))
        }
        let (first, source, mask) = (operands.first, operands.source, operands.mask)
        return Vector256(
            lower: blend(first.lower, source.lower, mask.lower),
            upper: blend(first.upper, source.upper, mask.upper)
        )
    }

    /// `vinsertf128`, `vinserti128`.
    static let insertHalf: WideFunction = { operands in
        var result = operands.first
        if operands.immediate & 1 == 0 {
            result.lower = operands.source.lower
        } else {
            result.upper = operands.source.lower
        }
        return result
    }

    /// `vbroadcast…`, `vpbroadcast…`: the first `byteCount` bytes of the source, over and over.
    static func broadcast(_ byteCount: Int) -> WideFunction {
        { operands in
            var half = Vector128()
            for index in half.bytes.indices { half.bytes[index] = operands.source.lower.bytes[index % byteCount] }
            return Vector256(lower: half, upper: half)
        }
    }

    /// `vpmovsx…`, `vpmovzx…`: `function` widens the source's first `byteCount` bytes to a half, and the next to the other.
    static func widen(_ function: @escaping VectorFunction, by byteCount: Int) -> WideFunction {
        { operands in
            var next = Vector128()
            for index in 0..<byteCount { next.bytes[index] = operands.source.lower.bytes[byteCount + index] }
            return Vector256(
                lower: function(VectorOperands(source: operands.source.lower)),
                upper: function(VectorOperands(source: next))
            )
        }
    }

    private static func lanes(_ vector: Vector256) -> [UInt32] {
        [vector.lower, vector.upper].flatMap { half in half.doublewords.indices.map { half.doublewords[$0] } }
    }

    private static func vector(_ lanes: [UInt32]) -> Vector256 {
        Vector256(
            lower: Vector128(doublewords: SIMD4(lanes[0..<4])),
            upper: Vector128(doublewords: SIMD4(lanes[4..<8]))
        )
    }
}
