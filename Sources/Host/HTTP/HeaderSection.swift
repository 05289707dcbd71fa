// SPDX-License-Identifier: Apache-2.0

/// The header fields of a message while they come in (RFC 9112, 5), or the trailer fields of a chunked body.
struct HeaderSection {
    private(set) var headers = HTTPHeaders()
    private let limits: HTTPParserLimits
    /// The rest of the limit for the head, in bytes; the empty line at the end is free.
    private var allowance: Int

    /// `used` is the number of bytes of the start line.
    init(limits: HTTPParserLimits, used: Int) {
        self.limits = limits
        allowance = limits.headByteCount - used
    }

    /// Takes fields.
    ///
    /// - Returns: Whether the end has come.
    mutating func take(from input: inout InputBuffer) throws(HTTPFault) -> Bool {
        let tooLarge = HTTPFault(431, "the header fields have more than \(limits.headByteCount) bytes")
        while let line = try input.line(limit: max(0, allowance - 2), orThrow: tooLarge) {
            if line.isEmpty { return true }
            allowance -= line.count + 2
            guard headers.fields.count < limits.headerCount else {
                throw HTTPFault(431, "there are more than \(limits.headerCount) header fields")
            }
            try add(line)
        }
        return false
    }

    private mutating func add(_ line: ArraySlice<UInt8>) throws(HTTPFault) {
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex else {
            throw HTTPFault(400, "a header field must be a name, a colon and a value")
        }
        // Refuses a space before the colon and a line that continues with the value of the one before, too.
        let name = line[..<colon]
        guard name.allSatisfy(ASCII.isToken) else {
            throw HTTPFault(400, "the name of a header field has an invalid character")
        }
        let value = ASCII.trimmed(line[(colon + 1)...])
        guard value.allSatisfy(ASCII.isFieldValue) else {
            throw HTTPFault(400, "the value of a header field has a control character")
        }
        headers.add(String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self))
    }
}
