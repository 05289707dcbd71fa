// SPDX-License-Identifier: Apache-2.0

extension JSONValue {
    /// Makes a value of a `Decodable` type, strictly.
    ///
    /// Errors are fields that the type does not know, fields that it needs and that are missing, values of another type and
    /// numbers out of range. A field that is null counts as absent where the type takes an optional. `2.0` and `2e0` are
    /// the integer 2, as JSON Schema has it.
    ///
    /// - Parameters:
    ///   - type: The type.
    ///   - root: The name of the value in errors, in front of the path of a field.
    /// - Returns: The value.
    /// - Throws: `JSONError.invalid`, which names the field by its path: `drives[0].rate_limiter.bandwidth.size`.
    package func decode<Value: Decodable>(as type: Value.Type = Value.self, named root: String = "") throws(JSONError)
        -> Value
    {
        let path = root.isEmpty ? [] : [JSONKey(stringValue: root)]
        do {
            return try JSONValueDecoder(value: self, codingPath: path).decode(type)
        } catch {
            throw JSONError(error)
        }
    }

    /// Makes the JSON of an `Encodable` value, with the fields in the order in which the type encodes them.
    ///
    /// - Throws: `JSONError.invalid` for a number that is infinite or none, which JSON cannot say.
    package init(encoding value: some Encodable) throws(JSONError) {
        do {
            self = try JSONValueEncoder(node: JSONNode(), codingPath: []).value(of: value)
        } catch {
            throw JSONError(error)
        }
    }
}

/// A field of an object, or the place of an element in an array.
struct JSONKey: CodingKey {
    private let name: String
    let intValue: Int?

    var stringValue: String { intValue.map { "\($0)" } ?? name }

    init(stringValue: String) {
        (name, intValue) = (stringValue, nil)
    }

    init(intValue: Int) {
        (name, self.intValue) = ("", intValue)
    }
}

extension JSONError {
    /// Puts the path of a field in front of its problem.
    init(at codingPath: [any CodingKey], _ problem: String) {
        var path = ""
        for key in codingPath {
            if let index = key.intValue {
                path += "[\(index)]"
            } else {
                path += path.isEmpty ? key.stringValue : ".\(key.stringValue)"
            }
        }
        self = .invalid(path: path, problem: problem)
    }

    /// Wraps the errors of a type's own `init(from:)` or `encode(to:)` in this module's.
    fileprivate init(_ error: any Error) {
        self =
            switch error {
            case let error as JSONError: error
            case DecodingError.dataCorrupted(let context), DecodingError.keyNotFound(_, let context),
                DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context):
                JSONError(at: context.codingPath, context.debugDescription)
            case EncodingError.invalidValue(_, let context): JSONError(at: context.codingPath, context.debugDescription)
            default: .invalid(path: "", problem: "\(error)")
            }
    }
}
