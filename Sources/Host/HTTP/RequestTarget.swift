// SPDX-License-Identifier: Apache-2.0

/// The target of a request (RFC 9112, 3.2), taken apart and percent-decoded.
struct RequestTarget {
    let segments: [String]
    let query: [String: String]

    /// Takes a target apart.
    ///
    /// - Parameter bytes: A path with a query, or an http URL, of which the host is ignored.
    /// - Throws: `HTTPFault` with status 400.
    init(_ bytes: ArraySlice<UInt8>) throws(HTTPFault) {
        let target = Self.withoutHost(bytes)
        guard target.first == UInt8(ascii: "/") else { throw HTTPFault(400, "the target must be a path") }
        guard target.allSatisfy({ ASCII.isVisible($0) && $0 != UInt8(ascii: "#") }) else {
            throw HTTPFault(400, "the target has an invalid character")
        }
        let path = target.prefix { $0 != UInt8(ascii: "?") }
        var segments: [String] = []
        for segment in path.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
            let text = try Self.decoded(segment)
            // Decoded, it would look like two segments, and no file or name contains it.
            guard !text.utf8.contains(where: { $0 == UInt8(ascii: "/") || $0 == 0 }) else {
                throw HTTPFault(400, "a segment of the path has a slash or a null character")
            }
            segments.append(text)
        }
        var query: [String: String] = [:]
        for pair in target[path.endIndex...].dropFirst().split(separator: UInt8(ascii: "&")) {
            let name = pair.prefix { $0 != UInt8(ascii: "=") }
            let value = try Self.decoded(pair[name.endIndex...].dropFirst(), isQuery: true)
            guard query.updateValue(value, forKey: try Self.decoded(name, isQuery: true)) == nil else {
                throw HTTPFault(400, "the query has a name twice")
            }
        }
        (self.segments, self.query) = (segments, query)
    }

    private static func withoutHost(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let scheme = "http://"
        guard bytes.prefix(scheme.utf8.count).map(ASCII.lowercased).elementsEqual(scheme.utf8) else { return bytes }
        let rest = bytes.dropFirst(scheme.utf8.count).drop { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
        return rest.first == UInt8(ascii: "/") ? rest : [UInt8(ascii: "/")] + rest
    }

    private static func decoded(_ bytes: ArraySlice<UInt8>, isQuery: Bool = false) throws(HTTPFault) -> String {
        var result: [UInt8] = []
        var rest = bytes
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%") {
                guard let high = rest.popFirst().flatMap(ASCII.hexDigit),
                    let low = rest.popFirst().flatMap(ASCII.hexDigit)
                else { throw HTTPFault(400, "a percent sign must be followed by two hexadecimal digits") }
                result.append(high << 4 | low)
            } else {
                result.append(isQuery && byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
            }
        }
        guard let text = String(validating: result, as: UTF8.self) else {
            throw HTTPFault(400, "the target is not UTF-8")
        }
        return text
    }

    /// A segment of a path, or a name or value of a query, as it stands in a target.
    static func encoded(_ text: String) -> String {
        text.utf8.reduce(into: "") { result, byte in
            if ASCII.isDigit(byte) || ASCII.isLetter(byte) || "-._~".utf8.contains(byte) {
                result.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                result += "%" + (digits.utf8.count == 1 ? "0" : "") + digits
            }
        }
    }
}
