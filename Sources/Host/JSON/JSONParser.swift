// SPDX-License-Identifier: Apache-2.0

/// Takes a JSON text apart in one pass.
///
/// Not by a C library: the state of a snapshot is read at each restore, where one took a hundred instructions a byte.
struct JSONParser {
    private let bytes: [UInt8]
    private var position = 0
    private var depth = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// Parses the whole text, which is one value.
    mutating func parse() throws(JSONError) -> JSONValue {
        let value = try parseValue()
        guard next() == nil else { throw unexpected("the end of the text") }
        return value
    }

    // MARK: - Values

    private mutating func parseValue() throws(JSONError) -> JSONValue {
        guard let byte = next() else { throw unexpected("a value") }
        switch byte {
        case UInt8(ascii: "\""): return .string(try parseString())
        case UInt8(ascii: "{"): return .object(try parseObject())
        case UInt8(ascii: "["): return .array(try parseArray())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try parseNumber()
        case UInt8(ascii: "t"): return try parse(word: "true", as: true)
        case UInt8(ascii: "f"): return try parse(word: "false", as: false)
        case UInt8(ascii: "n"): return try parse(word: "null", as: nil)
        default: throw unexpected("a value")
        }
    }

    private mutating func parse(word: StaticString, as value: JSONValue) throws(JSONError) -> JSONValue {
        let end = position + word.utf8CodeUnitCount
        guard end <= bytes.count, "\(word)".utf8.elementsEqual(bytes[position..<end]) else {
            throw unexpected("a value")
        }
        position = end
        return value
    }

    private mutating func parseArray() throws(JSONError) -> [JSONValue] {
        try enter()
        var elements: [JSONValue] = []
        if take(UInt8(ascii: "]")) { return elements }
        repeat {
            elements.append(try parseValue())
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "]")) else { throw unexpected("',' or ']'") }
        return elements
    }

    private mutating func parseObject() throws(JSONError) -> JSONObject {
        try enter()
        var object = JSONObject()
        if take(UInt8(ascii: "}")) { return object }
        repeat {
            guard next() == UInt8(ascii: "\"") else { throw unexpected("a name in quotation marks") }
            let start = position
            let name = try parseString()
            guard !name.utf8.contains(0) else { throw fault("U+0000 in a name", at: start) }
            guard take(UInt8(ascii: ":")) else { throw unexpected("':'") }
            guard object.add(name, try parseValue()) else { throw .duplicateName(name) }
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "}")) else { throw unexpected("',' or '}'") }
        return object
    }

    /// Takes the bracket of an array or object; `take` of its counterpart leaves it.
    private mutating func enter() throws(JSONError) {
        guard depth < JSONValue.depthLimit else {
            throw fault("more than \(JSONValue.depthLimit) nested arrays and objects")
        }
        depth += 1
        position += 1
    }

    // MARK: - Numbers

    private mutating func parseNumber() throws(JSONError) -> JSONValue {
        let start = position
        var isInteger = true
        skip(UInt8(ascii: "-"))
        if !skip(UInt8(ascii: "0")) { try skipDigits() }
        if skip(UInt8(ascii: ".")) {
            isInteger = false
            try skipDigits()
        }
        if skip(UInt8(ascii: "e")) || skip(UInt8(ascii: "E")) {
            isInteger = false
            if !skip(UInt8(ascii: "-")) { skip(UInt8(ascii: "+")) }
            try skipDigits()
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if isInteger, let integer = Int64(text) { return .integer(integer) }
        if isInteger, let integer = UInt64(text) { return .unsigned(integer) }
        if isInteger { throw fault("the integer is too large", at: position - 1) }
        guard let number = Double(text), number.isFinite else { throw fault("the number is too large", at: start) }
        return .number(number)
    }

    private mutating func skipDigits() throws(JSONError) {
        let start = position
        while position < bytes.count, UInt8(ascii: "0")...UInt8(ascii: "9") ~= bytes[position] { position += 1 }
        guard position > start else { throw unexpected("a digit") }
    }

    @discardableResult
    private mutating func skip(_ byte: UInt8) -> Bool {
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    // MARK: - Strings

    private mutating func parseString() throws(JSONError) -> String {
        let start = position
        position += 1
        // Most strings have no escape: they are taken as a whole.
        try skipToEscapeOrEnd(of: start)
        guard bytes[position] != UInt8(ascii: "\"") else {
            defer { position += 1 }
            return try string(bytes[start + 1..<position], at: start)
        }
        var text = Array(bytes[start + 1..<position])
        while bytes[position] != UInt8(ascii: "\"") {
            try parseEscape(into: &text)
            let piece = position
            try skipToEscapeOrEnd(of: start)
            text += bytes[piece..<position]
        }
        position += 1
        return try string(text[...], at: start)
    }

    private func string(_ text: ArraySlice<UInt8>, at start: Int) throws(JSONError) -> String {
        // `String(validating:as:)` says the same, but the runtime looks up types for it.
        guard let text = try? UTF8Span(validating: text.span) else { throw fault("the string is not UTF-8", at: start) }
        return String(copying: text)
    }

    /// Continues to the next backslash or quotation mark.
    private mutating func skipToEscapeOrEnd(of start: Int) throws(JSONError) {
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { return }
            guard byte >= UInt8(ascii: " ") else { throw fault("a control character in a string") }
            position += 1
        }
        throw fault("the string has no end", at: start)
    }

    private mutating func parseEscape(into text: inout [UInt8]) throws(JSONError) {
        let start = position
        guard start + 1 < bytes.count else { throw fault("the string has no end") }
        position += 2
        switch bytes[start + 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(bytes[start + 1])
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0c)
        case UInt8(ascii: "n"): text.append(UInt8(ascii: "\n"))
        case UInt8(ascii: "r"): text.append(UInt8(ascii: "\r"))
        case UInt8(ascii: "t"): text.append(UInt8(ascii: "\t"))
        case UInt8(ascii: "u"):
            var units = [try parseCodeUnit(of: start)]
            if UTF16.isLeadSurrogate(units[0]), skip(UInt8(ascii: "\\")), skip(UInt8(ascii: "u")) {
                units.append(try parseCodeUnit(of: start))
            }
            guard let character = String(validating: units, as: UTF16.self) else {
                throw fault("half of a surrogate pair", at: start)
            }
            text += character.utf8
        default: throw fault("an escape that JSON does not have", at: start)
        }
    }

    private mutating func parseCodeUnit(of start: Int) throws(JSONError) -> UInt16 {
        var unit: UInt16 = 0
        for _ in 0..<4 {
            guard position < bytes.count, let digit = Character(Unicode.Scalar(bytes[position])).hexDigitValue else {
                throw fault("an escape without four hexadecimal digits", at: start)
            }
            unit = unit << 4 | UInt16(digit)
            position += 1
        }
        return unit
    }

    // MARK: - Text

    /// Skips white space and returns the byte after it; `nil` at the end.
    private mutating func next() -> UInt8? {
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: "\t"): position += 1
            case let byte: return byte
            }
        }
        return nil
    }

    /// Takes the next byte that is not white space, if it is this one, and leaves the array or object that it ends.
    private mutating func take(_ byte: UInt8) -> Bool {
        guard next() == byte else { return false }
        position += 1
        if byte == UInt8(ascii: "]") || byte == UInt8(ascii: "}") { depth -= 1 }
        return true
    }

    // MARK: - Errors

    private func unexpected(_ wanted: String) -> JSONError {
        guard position < bytes.count else { return fault("the text ends where \(wanted) has to be") }
        let byte = bytes[position]
        let found =
            UInt8(ascii: "!")...UInt8(ascii: "~") ~= byte
            ? "'\(Unicode.Scalar(byte))'" : "the byte 0x\(String(byte, radix: 16))"
        return fault("\(found) where \(wanted) has to be")
    }

    /// Makes the error of a place; `nil` for the present one.
    private func fault(_ reason: String, at place: Int? = nil) -> JSONError {
        let (line, column) = JSONError.place(of: place ?? position, in: bytes)
        return .syntax(line: line, column: column, reason: reason)
    }
}
