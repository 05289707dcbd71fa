// SPDX-License-Identifier: Apache-2.0

/// A name in the ACPI namespace: optional root or parent prefixes, then name segments (ACPI 6.5, 20.2.2).
///
/// Written as in ASL: `\_SB.PWRB`, `^PWRB`, `_HID`. Short segments are padded with underscores.
package struct AMLPath: Hashable, Sendable {
    /// The NameString as it is encoded: prefixes, then a NullName, NameSeg, DualNamePath or MultiNamePath.
    let encoded: [UInt8]

    /// Checks and encodes a path.
    ///
    /// - Throws: `invalidName` when a segment is empty, longer than four characters or has characters other than A-Z,
    ///   0-9 and underscore, or starts with a digit, or when there are more than 255 segments.
    package init(_ text: String) throws(AMLError) {
        guard let encoded = Self.encode(text) else { throw .invalidName(text) }
        self.encoded = encoded
    }

    /// A segment of a prefix letter and three hexadecimal digits, for devices that are numbered.
    ///
    /// - Throws: `invalidName` when the prefix is not one letter or the number has more than three digits.
    package init(numbered number: Int, prefix: String) throws(AMLError) {
        let digits = String(number, radix: 16, uppercase: true)
        let padding = String(repeating: "0", count: max(0, 3 - digits.count))
        try self.init(prefix + padding + digits)
    }

    private static func encode(_ text: String) -> [UInt8]? {
        var rest = Array(text.utf8)[...]
        var encoded: [UInt8] = []
        if rest.first == UInt8(ascii: "\\") {
            encoded.append(rest.removeFirst())
        } else {
            while rest.first == UInt8(ascii: "^") { encoded.append(rest.removeFirst()) }
        }
        if rest.isEmpty { return encoded.isEmpty ? nil : encoded + [0x00] }
        let segments = rest.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard segments.count <= 255 else { return nil }
        switch segments.count {
        case 1: break
        case 2: encoded.append(0x2e)
        default: encoded += [0x2f, UInt8(segments.count)]
        }
        for segment in segments {
            guard let padded = pad(segment) else { return nil }
            encoded += padded
        }
        return encoded
    }

    /// A name segment of four characters; `nil` when `segment` is none.
    private static func pad(_ segment: ArraySlice<UInt8>) -> [UInt8]? {
        let underscore = UInt8(ascii: "_")
        let letters = UInt8(ascii: "A")...UInt8(ascii: "Z")
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        guard
            let lead = segment.first, segment.count <= 4, lead == underscore || letters.contains(lead),
            segment.allSatisfy({ $0 == underscore || letters.contains($0) || digits.contains($0) })
        else { return nil }
        return Array(segment) + [UInt8](repeating: underscore, count: 4 - segment.count)
    }
}

extension AMLPath: ExpressibleByStringLiteral {
    /// A path in the source code; a wrong one is a bug of ours and traps.
    package init(stringLiteral text: String) {
        guard let encoded = Self.encode(text) else { preconditionFailure("\"\(text)\" is not an ACPI name") }
        self.encoded = encoded
    }
}
