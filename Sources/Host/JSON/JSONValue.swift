// SPDX-License-Identifier: Apache-2.0

/// Any JSON value (RFC 8259).
package enum JSONValue: Hashable, Sendable {
    /// No value.
    case null
    /// True or false.
    case bool(Bool)
    /// A number that is written without fraction and exponent.
    case integer(Int64)
    /// Such a number beyond `Int64`, and of no less than 0.
    case unsigned(UInt64)
    case number(Double)
    case string(String)
    /// Values in order.
    case array([JSONValue])
    /// Values by name.
    case object(JSONObject)
}

extension JSONValue {
    /// The integer that this is, written as one; nil for anything else.
    package var integer: Int64? {
        if case .integer(let value) = self { value } else { nil }
    }

    /// The text that this is; nil for anything else.
    package var string: String? {
        if case .string(let value) = self { value } else { nil }
    }

    /// The elements of an array; none for anything else.
    package var elements: [JSONValue] {
        if case .array(let elements) = self { elements } else { [] }
    }

    /// The 64 bits of an integer, with a sign or without: -1 has the same as 2^64 - 1; nil for anything else.
    package var bits: UInt64? {
        if case .unsigned(let integer) = self { integer } else { integerValue.map { UInt64(bitPattern: $0) } }
    }

    /// The integer that this is, however it is written; nil for anything else.
    package var integerValue: Int64? {
        switch self {
        case .integer(let integer): integer
        case .number(let number): Int64(exactly: number)
        default: nil
        }
    }
}

extension JSONValue: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByStringInterpolation, ExpressibleByArrayLiteral,
    ExpressibleByDictionaryLiteral
{
    package init(nilLiteral: ()) { self = .null }

    package init(booleanLiteral value: Bool) { self = .bool(value) }

    package init(integerLiteral value: Int64) { self = .integer(value) }

    package init(floatLiteral value: Double) { self = .number(value) }

    package init(stringLiteral value: String) { self = .string(value) }

    package init(arrayLiteral elements: JSONValue...) { self = .array(elements) }

    /// An object; of members with the same name the last one counts.
    package init(dictionaryLiteral elements: (String, JSONValue)...) { self = .object(JSONObject(elements)) }
}

extension JSONValue {
    /// A member of an object; null where there is none, and for any other value.
    package subscript(name: String) -> JSONValue {
        if case .object(let object) = self { object[name] ?? .null } else { .null }
    }
}

extension JSONValue {
    /// The greatest depth of nested arrays and objects: that of serde_json, by which Firecracker's clients store metadata.
    package static let depthLimit = 127

    /// Parses a whole JSON text, strictly.
    ///
    /// Refused are: bytes that are not UTF-8, anything after the value, names that an object has twice, more than
    /// `depthLimit` values in each other, integers of more than 64 bits, numbers beyond `Double`, and U+0000 in a name.
    ///
    /// - Parameter bytes: The text; its value may be of any type.
    /// - Throws: `JSONError` with the place and the reason.
    package init(parsing bytes: [UInt8]) throws(JSONError) {
        var parser = JSONParser(bytes)
        self = try parser.parse()
    }
}
