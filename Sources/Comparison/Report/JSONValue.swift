// SPDX-License-Identifier: Apache-2.0

/// A value of JSON (RFC 8259), and its text.
enum JSONValue: Hashable, ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByFloatLiteral
{
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSONValue])
    /// In the order in which the members are written.
    case object([Member])

    struct Member: Hashable {
        let name: String
        let value: JSONValue
    }

    init(stringLiteral value: String) { self = .string(value) }
    init(booleanLiteral value: Bool) { self = .bool(value) }
    init(integerLiteral value: Int) { self = .number(Double(value)) }
    init(floatLiteral value: Double) { self = .number(value) }
    init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    init(dictionaryLiteral elements: (String, JSONValue)...) { self = .object(elements) }

    static func object(_ members: [(String, JSONValue)]) -> JSONValue {
        .object(members.map { Member(name: $0.0, value: $0.1) })
    }
    static func strings(_ strings: [String]) -> JSONValue { .array(strings.map(JSONValue.string)) }
    static func numbers(_ numbers: [Double]) -> JSONValue { .array(numbers.map(JSONValue.number)) }

    /// The text: indented, but with arrays of plain values on one line.
    var text: String {
        var text = ""
        write(to: &text, indentation: "")
        return text
    }

    private var isPlain: Bool {
        switch self {
        case .array, .object: false
        default: true
        }
    }

    private func write(to text: inout String, indentation: String) {
        switch self {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .number(let value): text += Self.digits(value)
        case .string(let value): text += Self.quoted(value)
        case .array(let elements) where elements.allSatisfy(\.isPlain):
            text += "["
            for (index, element) in elements.enumerated() {
                if index > 0 { text += ", " }
                element.write(to: &text, indentation: "")
            }
            text += "]"
        case .array(let elements):
            Self.writeBlock("[", "]", elements.count, indentation, &text) { index, inner, text in
                elements[index].write(to: &text, indentation: inner)
            }
        case .object(let members):
            Self.writeBlock("{", "}", members.count, indentation, &text) { index, inner, text in
                text += Self.quoted(members[index].name) + ": "
                members[index].value.write(to: &text, indentation: inner)
            }
        }
    }

    private static func writeBlock(
        _ opening: String,
        _ closing: String,
        _ count: Int,
        _ indentation: String,
        _ text: inout String,
        write: (Int, String, inout String) -> Void
    ) {
        text += opening
        let inner = indentation + "  "
        for index in 0..<count {
            text += (index > 0 ? ",\n" : "\n") + inner
            write(index, inner, &text)
        }
        text += (count > 0 ? "\n" + indentation : "") + closing
    }

    /// JSON has neither infinities nor NaN.
    private static func digits(_ value: Double) -> String {
        guard value.isFinite else { return "null" }
        guard value == value.rounded(), abs(value) < 1e15 else { return "\(value)" }
        return "\(Int64(value))"
    }

    private static func quoted(_ string: String) -> String {
        var text = "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\t": text += "\\t"
            case "\r": text += "\\r"
            case let scalar where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text + "\""
    }
}
