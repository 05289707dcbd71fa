// SPDX-License-Identifier: Apache-2.0

/// Vector functions that are not one function of corresponding lanes, under their instructions' names.
enum VectorArithmetic {
    /// Sixteen-bit lanes made from the pairs of 16-bit lanes of both operands.
    private static func horizontal(
        _ function: @escaping @Sendable (Int, Int) -> UInt16
    ) -> VectorFunction {
        { operands in
            var result = SIMD8<UInt16>.zero
            for index in 0..<8 {
                let source = index < 4 ? operands.destination.words : operands.source.words
                let pair = 2 * (index & 3)
                result[index] = function(
                    Int(Int16(bitPattern: source[pair])),
                    Int(Int16(bitPattern: source[pair + 1]))
                )
            }
            return Vector128(words: result)
        }
    }

    /// Thirty-two-bit lanes made from the pairs of 32-bit lanes of both operands.
    private static func horizontal(
        _ function: @escaping @Sendable (UInt32, UInt32) -> UInt32
    ) -> VectorFunction {
        { operands in
            let lhs = operands.destination.doublewords
            let rhs = operands.source.doublewords
            return Vector128(
                doublewords: SIMD4(
                    function(lhs[0], lhs[1]),
                    function(lhs[2], lhs[3]),
                    function(rhs[0], rhs[1]),
                    function(rhs[2], rhs[3])
                )
            )
        }
    }

    static let phaddw = horizontal { (a: Int, b: Int) in UInt16(truncatingIfNeeded: a + b) }
    static let phaddsw = horizontal { (a: Int, b: Int) in UInt16(bitPattern: Int16(saturating: a + b)) }
    static let phsubw = horizontal { (a: Int, b: Int) in UInt16(truncatingIfNeeded: a - b) }
    static let phsubsw = horizontal { (a: Int, b: Int) in UInt16(bitPattern: Int16(saturating: a - b)) }
    static let phaddd = horizontal { (a: UInt32, b: UInt32) in a &+ b }
    static let phsubd = horizontal { (a: UInt32, b: UInt32) in a &- b }

    /// Narrow lanes made from the wider signed lanes of the destination, then of the source.
    private static func packBytes(_ saturate: @escaping @Sendable (Int) -> UInt8) -> VectorFunction {
        { operands in
            var result = SIMD16<UInt8>.zero
            for index in 0..<8 {
                result[index] = saturate(Int(Int16(bitPattern: operands.destination.words[index])))
                result[index + 8] = saturate(Int(Int16(bitPattern: operands.source.words[index])))
            }
            return Vector128(bytes: result)
        }
    }

    private static func packWords(_ saturate: @escaping @Sendable (Int) -> UInt16) -> VectorFunction {
        { operands in
            var result = SIMD8<UInt16>.zero
            for index in 0..<4 {
                result[index] = saturate(Int(Int32(bitPattern: operands.destination.doublewords[index])))
                result[index + 4] = saturate(Int(Int32(bitPattern: operands.source.doublewords[index])))
            }
            return Vector128(words: result)
        }
    }

    static let packsswb = packBytes { UInt8(bitPattern: Int8(saturating: $0)) }
    static let packuswb = packBytes { UInt8(saturating: $0) }
    static let packssdw = packWords { UInt16(bitPattern: Int16(saturating: $0)) }
    static let packusdw = packWords { UInt16(saturating: $0) }

    static let pmuludq: VectorFunction = { operands in
        let product = { (index: Int) in
            UInt64(operands.destination.doublewords[index]) * UInt64(operands.source.doublewords[index])
        }
        return Vector128(low: product(0), high: product(2))
    }

    static let pmuldq: VectorFunction = { operands in
        let product = { (index: Int) in
            Int64(Int32(bitPattern: operands.destination.doublewords[index]))
                * Int64(Int32(bitPattern: operands.source.doublewords[index]))
        }
        return Vector128(low: UInt64(bitPattern: product(0)), high: UInt64(bitPattern: product(2)))
    }

    static let pmaddwd: VectorFunction = { operands in
        let product = { (index: Int) in
            Int32(Int16(bitPattern: operands.destination.words[index]))
                * Int32(Int16(bitPattern: operands.source.words[index]))
        }
        var result = SIMD4<UInt32>.zero
        for index in 0..<4 {
            result[index] = UInt32(bitPattern: product(2 * index) &+ product(2 * index + 1))
        }
        return Vector128(doublewords: result)
    }

    static let pmaddubsw: VectorFunction = { operands in
        let product = { (index: Int) in
            Int(operands.destination.bytes[index]) * Int(Int8(bitPattern: operands.source.bytes[index]))
        }
        var result = SIMD8<UInt16>.zero
        for index in 0..<8 {
            result[index] = UInt16(bitPattern: Int16(saturating: product(2 * index) + product(2 * index + 1)))
        }
        return Vector128(words: result)
    }

    static let psadbw: VectorFunction = { operands in
        let sum = { (start: Int) in
            (start..<start + 8).reduce(UInt64(0)) { sum, index in
                let difference = Int(operands.destination.bytes[index]) - Int(operands.source.bytes[index])
                return sum + UInt64(difference.magnitude)
            }
        }
        return Vector128(low: sum(0), high: sum(8))
    }

    /// `pclmulqdq`: the product of two quadwords as polynomials over GF(2).
    static let pclmulqdq: VectorFunction = { operands in
        let lhs = UInt128(operands.destination.quadwords[Int(operands.immediate & 1)])
        let rhs = operands.source.quadwords[Int(operands.immediate >> 4 & 1)]
        var product: UInt128 = 0
        for bit in 0..<64 where rhs >> UInt64(bit) & 1 != 0 { product ^= lhs << UInt128(bit) }
        return Vector128(product)
    }
}
