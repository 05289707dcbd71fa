// SPDX-License-Identifier: Apache-2.0

/// How the value of a field becomes a value of ours: what `JSONFields` is asked for.
package struct JSONFieldType<Value> {
    /// What has to be instead of a value that is refused, as in "must be a string".
    let expectation: (JSONValue) -> String
    /// The value of ours; nil where the field's is refused.
    let read: (JSONValue) -> Value?

    /// Makes a type of field that is not among the usual ones.
    ///
    /// - Parameters:
    ///   - expectation: What has to be instead of the value that was refused, as in "must be a string".
    ///   - read: Gives the value, nil where it is not as expected.
    package init(expectation: @escaping (JSONValue) -> String, read: @escaping (JSONValue) -> Value?) {
        self.expectation = expectation
        self.read = read
    }

    private init(_ expectation: String, read: @escaping (JSONValue) -> Value?) {
        self.init(expectation: { _ in expectation }, read: read)
    }
}

extension JSONFieldType where Value == String {
    /// A string.
    package static var string: Self {
        Self("a string") { if case .string(let string) = $0 { string } else { nil } }
    }
}

extension JSONFieldType where Value == Bool {
    /// True or false.
    package static var bool: Self {
        Self("true or false") { if case .bool(let bool) = $0 { bool } else { nil } }
    }
}

extension JSONFieldType where Value == Int64 {
    /// An integer in a range; `2.0` and `2e0` are 2, as JSON Schema has it.
    ///
    /// - Parameter range: What is allowed.
    /// - Returns: The type.
    package static func integer(in range: ClosedRange<Int64>) -> Self {
        Self(
            expectation: { value in
                guard let integer = value.integerValue else { return "an integer" }
                return "\(range.lowerBound) to \(range.upperBound), not \(integer)"
            },
            read: { $0.integerValue.flatMap { range.contains($0) ? $0 : nil } }
        )
    }
}

extension JSONFieldType where Value == JSONObject {
    /// An object as it is; `JSONFields.object` is for those whose fields are known.
    package static var object: Self {
        Self("an object") { if case .object(let object) = $0 { object } else { nil } }
    }
}

extension JSONFieldType where Value == [JSONValue] {
    /// An array.
    package static var array: Self {
        Self("an array") { if case .array(let elements) = $0 { elements } else { nil } }
    }
}

extension JSONFieldType where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
    /// One of the strings that are the raw values of `Value`.
    ///
    /// - Parameter type: The type whose cases are allowed.
    /// - Returns: The type.
    package static func enumeration(_ type: Value.Type) -> Self {
        let allowed = Value.allCases.map { "'\($0.rawValue)'" }.joined(separator: ", ")
        return Self(
            expectation: { value in
                guard case .string(let string) = value else { return "one of \(allowed)" }
                return "one of \(allowed), not '\(string)'"
            },
            read: { if case .string(let string) = $0 { Value(rawValue: string) } else { nil } }
        )
    }
}
