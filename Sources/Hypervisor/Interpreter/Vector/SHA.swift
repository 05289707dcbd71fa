// SPDX-License-Identifier: Apache-2.0

/// The SHA instructions, under their names.
///
/// Intel SDM volume 1, 5.18 "Intel SHA Extensions", and volume 2 for each; FIPS 180-4.
enum SHA {
    private static func rotateLeft(_ word: UInt32, _ count: UInt32) -> UInt32 {
        word << count | word >> (32 - count)
    }

    private static func rotateRight(_ word: UInt32, _ count: UInt32) -> UInt32 {
        rotateLeft(word, 32 - count)
    }

    private static func choose(_ x: UInt32, _ y: UInt32, _ z: UInt32) -> UInt32 { x & y ^ ~x & z }
    private static func majority(_ x: UInt32, _ y: UInt32, _ z: UInt32) -> UInt32 { x & y ^ x & z ^ y & z }

    // MARK: - SHA-1

    static let sha1rnds4: VectorFunction = { operands in
        let constants: SIMD4<UInt32> = [0x5A82_7999, 0x6ED9_EBA1, 0x8F1B_BCDC, 0xCA62_C1D6]
        let selector = Int(operands.immediate & 3)
        let state = operands.destination.doublewords
        var (a, b, c, d, e) = (state[3], state[2], state[1], state[0], UInt32(0))
        for round in 0..<4 {
            let mixed =
                switch selector {
                case 0: choose(b, c, d)
                case 2: majority(b, c, d)
                default: b ^ c ^ d
                }
            let word = operands.source.doublewords[3 - round]
            let next = mixed &+ rotateLeft(a, 5) &+ word &+ e &+ constants[selector]
            (a, b, c, d, e) = (next, a, rotateLeft(b, 30), c, d)
        }
        return Vector128(doublewords: SIMD4(d, c, b, a))
    }

    static let sha1nexte: VectorFunction = { operands in
        var result = operands.source
        result.doublewords[3] &+= rotateLeft(operands.destination.doublewords[3], 30)
        return result
    }

    static let sha1msg1: VectorFunction = { operands in
        let lhs = operands.destination.doublewords
        let rhs = operands.source.doublewords
        return Vector128(doublewords: lhs ^ SIMD4(rhs[2], rhs[3], lhs[0], lhs[1]))
    }

    static let sha1msg2: VectorFunction = { operands in
        let lhs = operands.destination.doublewords
        let rhs = operands.source.doublewords
        let w16 = rotateLeft(lhs[3] ^ rhs[2], 1)
        let w17 = rotateLeft(lhs[2] ^ rhs[1], 1)
        let w18 = rotateLeft(lhs[1] ^ rhs[0], 1)
        let w19 = rotateLeft(lhs[0] ^ w16, 1)
        return Vector128(doublewords: SIMD4(w19, w18, w17, w16))
    }

    // MARK: - SHA-256

    static let sha256rnds2: VectorFunction = { operands in
        let (abef, cdgh) = (operands.source.doublewords, operands.destination.doublewords)
        var (a, b, c, d) = (abef[3], abef[2], cdgh[3], cdgh[2])
        var (e, f, g, h) = (abef[1], abef[0], cdgh[1], cdgh[0])
        for round in 0..<2 {
            let sigma1 = rotateRight(e, 6) ^ rotateRight(e, 11) ^ rotateRight(e, 25)
            let sigma0 = rotateRight(a, 2) ^ rotateRight(a, 13) ^ rotateRight(a, 22)
            let first = choose(e, f, g) &+ sigma1 &+ operands.implicit.doublewords[round] &+ h
            let next = first &+ majority(a, b, c) &+ sigma0
            (a, b, c, d, e, f, g, h) = (next, a, b, c, first &+ d, e, f, g)
        }
        return Vector128(doublewords: SIMD4(f, e, b, a))
    }

    static let sha256msg1: VectorFunction = { operands in
        let lhs = operands.destination.doublewords
        let next = SIMD4(lhs[1], lhs[2], lhs[3], operands.source.doublewords[0])
        var result = lhs
        for index in 0..<4 {
            let word = next[index]
            result[index] &+= rotateRight(word, 7) ^ rotateRight(word, 18) ^ word >> 3
        }
        return Vector128(doublewords: result)
    }

    static let sha256msg2: VectorFunction = { operands in
        var result = operands.destination.doublewords
        for index in 0..<4 {
            let word = index < 2 ? operands.source.doublewords[2 + index] : result[index - 2]
            result[index] &+= rotateRight(word, 17) ^ rotateRight(word, 19) ^ word >> 10
        }
        return Vector128(doublewords: result)
    }
}
