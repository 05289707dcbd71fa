// SPDX-License-Identifier: Apache-2.0

/// Makes text that is not ours fit to be shown on a terminal, on one line.
///
/// Names, messages and files can hold escape sequences, which set a terminal's title, answer in its name, or hide what was
/// written before; and line ends, which make one message look like two. All of them are shown instead of obeyed: `^[` for ESC, `^J`
/// for a line end, `<U+202E>` for what changes the direction of text.
///
/// - Parameters:
///   - text: Text of a guest, a file, a socket, another user.
///   - keepsLines: Whether line ends and tabulators stay, for text of several lines.
/// - Returns: Text without control characters.
package func printable(_ text: String, keepsLines: Bool = false) -> String {
    guard !text.unicodeScalars.allSatisfy({ $0.isHarmless(keepsLines: keepsLines) }) else { return text }
    var result = ""
    for scalar in text.unicodeScalars {
        if scalar.isHarmless(keepsLines: keepsLines) {
            result.unicodeScalars.append(scalar)
        } else {
            result += scalar.visibleForm
        }
    }
    return result
}

extension Unicode.Scalar {
    fileprivate func isHarmless(keepsLines: Bool) -> Bool {
        switch value {
        case 0x0a, 0x09: keepsLines
        case 0x00...0x1f, 0x7f...0x9f: false
        // Line and paragraph separators; marks, embeddings, overrides and isolates of direction.
        case 0x2028...0x202e, 0x2066...0x2069, 0x200e...0x200f, 0x061c: false
        default: true
        }
    }

    /// As cat -v shows it, or by its number.
    fileprivate var visibleForm: String {
        switch value {
        case 0x00...0x1f: "^" + String(Unicode.Scalar(UInt8(value) + 0x40))
        case 0x7f: "^?"
        default:
            "<U+" + String(repeating: "0", count: value < 0x1000 ? 4 - String(value, radix: 16).count : 0)
                + String(value, radix: 16, uppercase: true) + ">"
        }
    }
}

/// Makes a foreign stream of bytes safe for a terminal: a guest's output, shown by `logs`.
///
/// Text, line ends, tabulators and colours (SGR) pass; every other control is shown as `printable` shows it.
package struct PrintableStream: Sendable {
    /// The beginning of a character or a colour that continues in the next piece.
    private var pending: [UInt8] = []
    /// A colour is longer than this only where it is none.
    private static let pendingLimit = 32

    package init() {}

    /// Takes the next piece.
    ///
    /// - Parameter bytes: A piece of the stream, cut anywhere.
    /// - Returns: The printable part of it and of earlier pieces.
    package mutating func process(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        for byte in bytes {
            pending.append(byte)
            take(into: &result)
        }
        return result
    }

    /// Returns the rest at the end of the stream.
    package mutating func finish() -> [UInt8] {
        defer { pending = [] }
        return pending.flatMap(Self.shown)
    }

    private mutating func take(into result: inout [UInt8]) {
        while let first = pending.first {
            let length: Int
            switch first {
            case 0x0a, 0x0d, 0x09, 0x20...0x7e: length = 1
            case 0x1b:
                guard let end = Self.colourLength(pending) else { return }
                length = end
            case 0xc2...0xf4:
                guard let end = Self.characterLength(pending) else { return }
                length = end
            default: length = 0
            }
            if length > 0 {
                result += pending.prefix(length)
                pending.removeFirst(length)
            } else {
                result += Self.shown(first)
                pending.removeFirst()
            }
        }
    }

    /// - Returns: The length of the colour at the beginning, 0 for another sequence, `nil` for an incomplete one.
    private static func colourLength(_ bytes: [UInt8]) -> Int? {
        guard bytes.count > 1 else { return nil }
        guard bytes[1] == UInt8(ascii: "["), bytes.count <= pendingLimit else { return 0 }
        for index in 2..<max(2, bytes.count) {
            switch bytes[index] {
            case 0x30...0x3b: continue  // digits, colon and semicolon
            case UInt8(ascii: "m"): return index + 1
            default: return 0
            }
        }
        return nil
    }

    /// - Returns: The length of the character at the beginning, 0 for one that may not be shown, `nil` for an incomplete one.
    private static func characterLength(_ bytes: [UInt8]) -> Int? {
        let length = bytes[0] < 0xe0 ? 2 : bytes[0] < 0xf0 ? 3 : 4
        guard bytes.dropFirst().prefix(length - 1).allSatisfy({ $0 & 0xc0 == 0x80 }) else { return 0 }
        guard bytes.count >= length else { return nil }
        guard let text = String(validating: bytes.prefix(length), as: UTF8.self) else { return 0 }
        return printable(text) == text ? length : 0
    }

    private static func shown(_ byte: UInt8) -> [UInt8] {
        switch byte {
        case 0x00...0x1f: [UInt8(ascii: "^"), byte + 0x40]
        case 0x20...0x7e: [byte]
        case 0x7f: Array("^?".utf8)
        default: Array("\\x".utf8) + Array(String(byte, radix: 16).utf8)
        }
    }
}
