// SPDX-License-Identifier: Apache-2.0

/// Header fields in order; names are looked up in whatever case.
package struct HTTPHeaders: Hashable, Sendable {
    /// One header field.
    package struct Field: Hashable, Sendable {
        /// As it was written.
        package let name: String
        /// Without spaces around it.
        package let value: String
    }

    package private(set) var fields: [Field] = []

    /// No header fields.
    package init() {}

    /// Appends a field; one of this name may be there already.
    package mutating func add(_ name: String, _ value: String) {
        fields.append(Field(name: name, value: value))
    }

    /// The value of a field; of several ones their list, as RFC 9110, 5.3 has it; nil where there is none.
    ///
    /// To set it removes all of that name.
    package subscript(name: String) -> String? {
        get {
            let values = values(of: name)
            return values.isEmpty ? nil : values.joined(separator: ", ")
        }
        set {
            fields.removeAll { Self.isSame($0.name, name) }
            if let newValue { add(name, newValue) }
        }
    }

    /// The values of all fields with this name, in order.
    package func values(of name: String) -> [String] {
        fields.filter { Self.isSame($0.name, name) }.map(\.value)
    }

    /// Returns whether a field that is a list has an element.
    ///
    /// Upper and lower case are the same.
    package func list(_ name: String, contains element: String) -> Bool {
        values(of: name).contains { value in
            value.utf8.split(separator: UInt8(ascii: ",")).contains { part in
                Self.isSame(String(decoding: ASCII.trimmed(part), as: UTF8.self), element)
            }
        }
    }

    private static func isSame(_ left: String, _ right: String) -> Bool {
        left.utf8.count == right.utf8.count
            && zip(left.utf8, right.utf8).allSatisfy { ASCII.lowercased($0) == ASCII.lowercased($1) }
    }
}

extension HTTPHeaders: ExpressibleByDictionaryLiteral {
    package init(dictionaryLiteral elements: (String, String)...) {
        for (name, value) in elements { add(name, value) }
    }
}
