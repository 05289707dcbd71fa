// SPDX-License-Identifier: Apache-2.0

/// Bytes that are written as base64 text where a format has no bytes, as JSON (RFC 4648, section 4, with padding).
package struct Base64: Hashable, Sendable, Codable {
    package var bytes: [UInt8]

    package init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: .max, count: 256)
        for (value, character) in alphabet.enumerated() { values[Int(character)] = UInt8(value) }
        return values
    }()

    /// Reads text.
    ///
    /// - Parameter text: Whole groups of four characters, the last one padded, and bits beyond the last byte that are 0: there is
    ///   one text for each value.
    package init?(text: String) {
        var characters = Array(text.utf8)
        guard characters.count.isMultiple(of: 4) else { return nil }
        // Padding stands for bits that are 0, and their bytes are taken off.
        let end = UInt8(ascii: "=")
        let padding = characters.last == end ? characters[characters.count - 2] == end ? 2 : 1 : 0
        for index in characters.count - padding..<characters.count { characters[index] = UInt8(ascii: "A") }
        let (text, table) = (characters.span, Self.values)
        let values = table.span
        var bytes = [UInt8](repeating: 0, count: characters.count / 4 * 3)
        var output = bytes.mutableSpan
        var all: UInt32 = 0
        for group in 0..<text.count / 4 {
            var bits: UInt32 = 0
            for index in 4 * group..<4 * group + 4 {
                let value = UInt32(values[Int(text[index])])
                all |= value
                bits = bits << 6 | value
            }
            output[3 * group] = UInt8(truncatingIfNeeded: bits >> 16)
            output[3 * group + 1] = UInt8(truncatingIfNeeded: bits >> 8)
            output[3 * group + 2] = UInt8(truncatingIfNeeded: bits)
        }
        guard all < 64, bytes.suffix(padding).allSatisfy({ $0 == 0 }) else { return nil }
        bytes.removeLast(padding)
        self.bytes = bytes
    }

    package var text: String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let count = min(3, bytes.count - start)
            var bits: UInt32 = 0
            for index in 0..<3 { bits = bits << 8 | (index < count ? UInt32(bytes[start + index]) : 0) }
            for index in 0..<4 {
                let value = Int(bits >> (18 - 6 * UInt32(index)) & 0x3f)
                text.append(index <= count ? Self.alphabet[value] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let value = Self(text: try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "the text is not valid base64")
        }
        self = value
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}
