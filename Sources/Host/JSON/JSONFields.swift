// SPDX-License-Identifier: Apache-2.0

/// Reads an object field by field, and refuses what is left over: how a text from outside becomes a value of ours.
///
///     var fields = try JSONFields(value, of: "drive")
///     let id = try fields.required("drive_id", .string)
///     let cache = try fields.optional("cache_type", .enumeration(CacheType.self)) ?? .unsafe
///     try fields.finish()
package struct JSONFields {
    private let what: String
    private var rest: JSONObject

    /// Starts to read an object.
    ///
    /// - Parameters:
    ///   - value: The value, which has to be an object.
    ///   - what: What it describes, for errors.
    /// - Throws: `JSONError.notAnObject`.
    package init(_ value: JSONValue, of what: String) throws(JSONError) {
        guard case .object(let object) = value else { throw .notAnObject(what) }
        self.init(object, of: what)
    }

    private init(_ object: JSONObject, of what: String) {
        (rest, self.what) = (object, what)
    }

    /// Takes a field that has to be there; null is a value like any other.
    ///
    /// - Parameters:
    ///   - name: The name of the field.
    ///   - type: What it has to be.
    /// - Returns: Its value.
    /// - Throws: `JSONError` where it is missing or has another type or value.
    package mutating func required<Value>(_ name: String, _ type: JSONFieldType<Value>) throws(JSONError) -> Value {
        guard let value = rest[name] else { throw .missingField(name, of: what) }
        return try read(value, name, type)
    }

    /// Takes a field that may be absent, or null, which is the same.
    ///
    /// - Parameters:
    ///   - name: The name of the field.
    ///   - type: What it has to be.
    /// - Returns: Its value; nil where there is none.
    /// - Throws: `JSONError` where it has another type or value.
    package mutating func optional<Value>(_ name: String, _ type: JSONFieldType<Value>) throws(JSONError) -> Value? {
        guard let value = rest[name] else { return nil }
        guard value != .null else {
            rest[name] = nil
            return nil
        }
        return try read(value, name, type)
    }

    /// Takes a field that has to be there and is an object.
    ///
    /// - Parameter name: The name of the field.
    /// - Returns: Its fields, of which `finish()` is called apart.
    /// - Throws: `JSONError` where it is missing or no object.
    package mutating func object(_ name: String) throws(JSONError) -> JSONFields {
        JSONFields(try required(name, .object), of: "\(what).\(name)")
    }

    /// Takes a field that is an object, or absent, or null.
    ///
    /// - Parameter name: The name of the field.
    /// - Returns: Its fields, of which `finish()` is called apart; nil where there is none.
    /// - Throws: `JSONError` where it is no object.
    package mutating func optionalObject(_ name: String) throws(JSONError) -> JSONFields? {
        guard let object = try optional(name, .object) else { return nil }
        return JSONFields(object, of: "\(what).\(name)")
    }

    /// Says that all fields that there may be have been taken.
    ///
    /// - Throws: `JSONError.unknownFields` with those that are left.
    package func finish() throws(JSONError) {
        guard rest.names.isEmpty else { throw .unknownFields(rest.names, of: what) }
    }

    private mutating func read<Value>(
        _ value: JSONValue,
        _ name: String,
        _ type: JSONFieldType<Value>
    ) throws(JSONError) -> Value {
        guard let result = type.read(value) else {
            throw .wrongField(name, of: what, expectation: type.expectation(value))
        }
        rest[name] = nil
        return result
    }
}
