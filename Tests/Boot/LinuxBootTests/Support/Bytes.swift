// SPDX-License-Identifier: Apache-2.0

/// Bytes that a file or structure is put together from.
struct Bytes {
    private(set) var all: [UInt8]

    init(count: Int = 0) {
        all = [UInt8](repeating: 0, count: count)
    }

    /// Stores a little-endian integer, behind the end too.
    mutating func put<T: FixedWidthInteger>(_ value: T, at offset: Int) {
        for index in 0..<MemoryLayout<T>.size {
            put([UInt8(truncatingIfNeeded: value >> T(8 * index))], at: offset + index)
        }
    }

    mutating func put(_ bytes: [UInt8], at offset: Int) {
        if all.count < offset + bytes.count {
            all += [UInt8](repeating: 0, count: offset + bytes.count - all.count)
        }
        all.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }
}

/// Random numbers that are the same in every run.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {  // SplitMix64
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}

/// Content that compresses about as well as code does, different for every seed.
func codeLikeBytes(_ count: Int, seed: UInt64) -> [UInt8] {
    var generator = SeededGenerator(seed: seed)
    let dictionary = (0..<256).map { _ in generator.next() }
    let words = (0..<count / 8 + 1).map { _ in
        let random = generator.next()
        return random & 7 == 0 ? random : dictionary[Int(random >> 56)]
    }
    return unsafe words.withUnsafeBytes { unsafe Array($0.prefix(count)) }
}
