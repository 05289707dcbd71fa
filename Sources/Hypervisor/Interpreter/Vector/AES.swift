// SPDX-License-Identifier: Apache-2.0

/// The AES instructions, under their names.
///
/// Intel SDM volume 1, 12.12 "Intel AES New Instructions"; FIPS 197.
enum AES {
    static let aesenc: VectorFunction = { operands in
        addKey(mixColumns(substitute(shiftRows(operands.destination)), by: [2, 3, 1, 1]), operands)
    }

    static let aesenclast: VectorFunction = { operands in
        addKey(substitute(shiftRows(operands.destination)), operands)
    }

    static let aesdec: VectorFunction = { operands in
        addKey(mixColumns(inverseSubstitute(inverseShiftRows(operands.destination)), by: inverseColumn), operands)
    }

    static let aesdeclast: VectorFunction = { operands in
        addKey(inverseSubstitute(inverseShiftRows(operands.destination)), operands)
    }

    static let aesimc: VectorFunction = { mixColumns($0.source, by: inverseColumn) }

    static let aeskeygenassist: VectorFunction = { operands in
        let substituted = substitute(operands.source).doublewords
        let (x1, x3) = (substituted[1], substituted[3])
        let constant = UInt32(operands.immediate)
        return Vector128(doublewords: SIMD4(x1, rotateWord(x1) ^ constant, x3, rotateWord(x3) ^ constant))
    }

    private static func rotateWord(_ word: UInt32) -> UInt32 { word >> 8 | word << 24 }

    private static let inverseColumn: SIMD4<UInt8> = [14, 11, 13, 9]

    private static func addKey(_ state: Vector128, _ operands: VectorOperands) -> Vector128 {
        Vector128(quadwords: state.quadwords ^ operands.source.quadwords)
    }

    /// Row `r` of the state, the bytes `r`, `r + 4`, …, rotates by `r`.
    private static func shiftRows(_ state: Vector128) -> Vector128 {
        var result = state.bytes
        for index in 0..<16 { result[index] = state.bytes[(index + 4 * (index & 3)) & 15] }
        return Vector128(bytes: result)
    }

    private static func inverseShiftRows(_ state: Vector128) -> Vector128 {
        var result = state.bytes
        for index in 0..<16 { result[(index + 4 * (index & 3)) & 15] = state.bytes[index] }
        return Vector128(bytes: result)
    }

    private static func substitute(_ state: Vector128) -> Vector128 {
        var result = state.bytes
        for index in 0..<16 { result[index] = boxes.forward[Int(state.bytes[index])] }
        return Vector128(bytes: result)
    }

    private static func inverseSubstitute(_ state: Vector128) -> Vector128 {
        var result = state.bytes
        for index in 0..<16 { result[index] = boxes.inverse[Int(state.bytes[index])] }
        return Vector128(bytes: result)
    }

    private static func mixColumns(_ state: Vector128, by column: SIMD4<UInt8>) -> Vector128 {
        var result = state.bytes
        for index in 0..<16 {
            result[index] = (0..<4).reduce(0) { sum, term in
                sum ^ multiply(state.bytes[index & 12 | (index + term) & 3], column[term])
            }
        }
        return Vector128(bytes: result)
    }

    /// The product in GF(2⁸) with the AES polynomial.
    private static func multiply(_ lhs: UInt8, _ rhs: UInt8) -> UInt8 {
        var (power, product) = (lhs, UInt8(0))
        for bit in 0..<8 {
            if rhs >> UInt8(bit) & 1 != 0 { product ^= power }
            power = power << 1 ^ (power & 0x80 == 0 ? 0 : 0x1B)
        }
        return product
    }

    /// The S-box and its inverse: the multiplicative inverse, then an affine map (FIPS 197, 5.1.1).
    private static let boxes: (forward: [UInt8], inverse: [UInt8]) = {
        var forward = [UInt8](repeating: 0x63, count: 256)
        var inverse = [UInt8](repeating: 0, count: 256)
        // 3 generates the multiplicative group, and 0xF6 is its inverse: `reciprocal` stays the inverse of `value`.
        var (value, reciprocal) = (UInt8(1), UInt8(1))
        for _ in 0..<255 {
            var substitute = reciprocal ^ 0x63
            for count in UInt8(1)...4 { substitute ^= reciprocal << count | reciprocal >> (8 - count) }
            forward[Int(value)] = substitute
            value = multiply(value, 3)
            reciprocal = multiply(reciprocal, 0xF6)
        }
        for (value, substitute) in forward.enumerated() { inverse[Int(substitute)] = UInt8(value) }
        return (forward, inverse)
    }()
}
