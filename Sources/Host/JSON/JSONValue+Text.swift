// SPDX-License-Identifier: Apache-2.0

extension JSONValue {
    /// The value as JSON without any space.
    package var text: String {
        var text = ""
        write(to: &text, indentation: nil)
        return text
    }

    /// The value as JSON for people: one member or element a line, two spaces a level.
    package var prettyText: String {
        var text = ""
        write(to: &text, indentation: 0)
        return text
    }

    private func write(to text: inout String, indentation: Int?) {
        switch self {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .integer(let value): text += String(value)
        case .unsigned(let value): text += String(value)
        // JSON has no word for infinity.
        case .number(let value): text += value.isFinite ? value.description : "null"
        case .string(let value): Self.write(value, to: &text)
        case .array(let elements):
            Self.write(elements, brackets: ("[", "]"), to: &text, indentation: indentation) { element, text, inner in
                element.write(to: &text, indentation: inner)
            }
        case .object(let object):
            Self.write(object.names, brackets: ("{", "}"), to: &text, indentation: indentation) { name, text, inner in
                Self.write(name, to: &text)
                text += inner == nil ? ":" : ": "
                (object[name] ?? nil).write(to: &text, indentation: inner)
            }
        }
    }

    private static func write<Item>(
        _ items: [Item],
        brackets: (String, String),
        to text: inout String,
        indentation: Int?,
        writeItem: (Item, inout String, Int?) -> Void
    ) {
        let inner = indentation.map { $0 + 2 }
        func breakLine(_ indentation: Int?) {
            guard let indentation, !items.isEmpty else { return }
            text += "\n" + String(repeating: " ", count: indentation)
        }
        text += brackets.0
        for (index, item) in items.enumerated() {
            if index > 0 { text += "," }
            breakLine(inner)
            writeItem(item, &text, inner)
        }
        breakLine(indentation)
        text += brackets.1
    }

    private static func write(_ string: String, to text: inout String) {
        text += "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case "\u{0}"..<" ":
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}
