// SPDX-License-Identifier: Apache-2.0

import CJansson

extension JSONValue {
    /// The greatest depth of arrays and objects in each other.
    package static let depthLimit = 64

    /// Parses a whole JSON text, strictly.
    ///
    /// Refused are: bytes that are not UTF-8, anything after the value, names that an object has twice, more than
    /// `depthLimit` values in each other, integers that are no `Int64`, numbers beyond `Double`, and U+0000 in a name.
    ///
    /// - Parameter bytes: The text; its value may be of any type.
    /// - Throws: `JSONError` with the place and the reason.
    package init(parsing bytes: [UInt8]) throws(JSONError) {
        try Self.checkDepth(of: bytes)
        var error = json_error_t()
        let flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL
        // SAFETY: jansson keeps no pointer to the text; what it returns is ours until it is released.
        let parsed = unsafe bytes.withUnsafeBytes { text in
            unsafe json_loadb(text.baseAddress, text.count, Int(flags), &error)
        }
        guard let parsed = unsafe parsed else {
            let reason = unsafe withUnsafeBytes(of: &error.text) { unsafe Self.string($0.prefix { $0 != 0 }) }
            throw unsafe .syntax(line: max(1, Int(error.line)), column: max(1, Int(error.column)), reason: reason)
        }
        defer { unsafe json_decref(parsed) }
        self = try unsafe Self(parsed)
    }

    /// Copies a value of jansson's; its depth has been checked.
    private init(_ value: UnsafeMutablePointer<json_t>) throws(JSONError) {
        switch unsafe value.pointee.type {
        case JSON_OBJECT:
            var object = JSONObject()
            var iterator = unsafe json_object_iter(value)
            while let member = unsafe iterator {
                let name = unsafe Self.string(
                    UnsafeRawBufferPointer(start: json_object_iter_key(member), count: json_object_iter_key_len(member))
                )
                // jansson compares bytes, String compares characters.
                guard object[name] == nil else { throw .duplicateName(name) }
                object[name] = try unsafe Self(json_object_iter_value(member))
                unsafe iterator = unsafe json_object_iter_next(value, member)
            }
            self = .object(object)
        case JSON_ARRAY:
            var elements: [JSONValue] = []
            for index in 0..<(unsafe json_array_size(value)) {
                elements.append(try unsafe Self(json_array_get(value, index)))
            }
            self = .array(elements)
        case JSON_STRING:
            self = unsafe .string(
                Self.string(UnsafeRawBufferPointer(start: json_string_value(value), count: json_string_length(value)))
            )
        case JSON_INTEGER: self = unsafe .integer(Int64(json_integer_value(value)))
        case JSON_REAL: self = unsafe .number(json_real_value(value))
        case JSON_TRUE: self = true
        case JSON_FALSE: self = false
        default: self = nil
        }
    }

    private static func string(_ bytes: some Sequence<UInt8>) -> String {
        String(decoding: Array(bytes), as: UTF8.self)
    }

    /// Refuses what lies too deep before jansson, which is recursive, sees it.
    private static func checkDepth(of bytes: [UInt8]) throws(JSONError) {
        var (line, lineStart, depth) = (1, 0, 0)
        var (isInString, isEscaped) = (false, false)
        for (index, byte) in bytes.enumerated() {
            if byte == UInt8(ascii: "\n") { (line, lineStart) = (line + 1, index + 1) }
            if isInString {
                if byte == UInt8(ascii: "\""), !isEscaped { isInString = false }
                isEscaped = byte == UInt8(ascii: "\\") && !isEscaped
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): isInString = true
            case UInt8(ascii: "["), UInt8(ascii: "{"):
                depth += 1
                guard depth <= depthLimit else {
                    throw .syntax(
                        line: line,
                        column: index - lineStart + 1,
                        reason: "more than \(depthLimit) arrays and objects in each other"
                    )
                }
            case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
            default: break
            }
        }
    }
}
