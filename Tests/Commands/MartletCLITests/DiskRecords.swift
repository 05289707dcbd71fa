// SPDX-License-Identifier: Apache-2.0

/// The records that `disktool` writes: guest-images/testing/disktool.c has the format.
enum DiskRecords {
    static let byteCount = 4096

    /// Returns whether `bytes` are record `index` of the run with `seed`, whole and unchanged.
    static func isIntact(_ bytes: ArraySlice<UInt8>, seed: UInt64, index: UInt64) -> Bool {
        guard bytes.count == byteCount else { return false }
        func word(_ position: Int) -> UInt64 {
            (0..<8).reduce(0) { $0 | UInt64(bytes[bytes.startIndex + position + $1]) << UInt64(8 * $1) }
        }
        guard bytes.prefix(8).elementsEqual("MARTLETR".utf8), word(8) == seed, word(16) == index else { return false }
        for number in UInt64(0)..<507 where word(32 + 8 * Int(number)) != mix(seed &+ index &* 512 &+ number) {
            return false
        }
        let checksum = bytes.prefix(4088).reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return word(4088) == checksum
    }

    private static func mix(_ value: UInt64) -> UInt64 {
        var value = value
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }

    /// The N of the last `durable N` in a console's output.
    static func lastDurable(in text: String) -> UInt64? {
        text.split(whereSeparator: \.isNewline).last { $0.hasPrefix("durable ") }.flatMap { UInt64($0.dropFirst(8)) }
    }
}
