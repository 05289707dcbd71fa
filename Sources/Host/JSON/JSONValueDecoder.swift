// SPDX-License-Identifier: Apache-2.0

/// Gives the parts of a JSON value to a `Decodable` type, and is its own container of a single value.
struct JSONValueDecoder: Decoder, SingleValueDecodingContainer {
    let value: JSONValue
    let codingPath: [any CodingKey]

    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        KeyedDecodingContainer(try JSONObjectDecoding(self))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        try JSONArrayDecoding(self)
    }

    func singleValueContainer() -> any SingleValueDecodingContainer { self }

    func decodeNil() -> Bool { value == .null }

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        if let primitive = JSONPrimitives.type(type) {
            guard let result = primitive.init(json: value) as? Value else {
                throw JSONError(at: codingPath, "must be \(primitive.expectation(insteadOf: value))")
            }
            return result
        }
        do {
            return try Value(from: self)
        } catch DecodingError.dataCorrupted(let context) {
            // The standard library's error for an enumeration does not list its values.
            guard let cases = type as? any CaseIterable.Type, case let names = Self.names(of: cases), !names.isEmpty
            else {
                throw DecodingError.dataCorrupted(context)
            }
            let found = if case .string(let text) = value { ", not '\(text)'" } else { "" }
            throw JSONError(at: codingPath, "must be one of \(names.joined(separator: ", "))\(found)")
        }
    }

    private static func names<Cases: CaseIterable>(of cases: Cases.Type) -> [String] {
        cases.allCases.compactMap { ($0 as? any RawRepresentable)?.rawValue as? String }.map { "'\($0)'" }
    }

    fileprivate func child(_ value: JSONValue, _ key: any CodingKey) -> JSONValueDecoder {
        JSONValueDecoder(value: value, codingPath: codingPath + [key])
    }
}

/// The fields of an object, each of which must be one that the type knows.
private struct JSONObjectDecoding<Key: CodingKey>: KeyedDecodingContainerProtocol {
    private let decoder: JSONValueDecoder
    private let object: JSONObject

    init(_ decoder: JSONValueDecoder) throws {
        guard case .object(let object) = decoder.value else {
            throw JSONError(at: decoder.codingPath, "must be an object")
        }
        for name in object.names where Key(stringValue: name) == nil {
            throw JSONError(at: decoder.codingPath + [JSONKey(stringValue: name)], "unknown field")
        }
        (self.decoder, self.object) = (decoder, object)
    }

    var codingPath: [any CodingKey] { decoder.codingPath }
    var allKeys: [Key] { object.names.compactMap { Key(stringValue: $0) } }

    private func field(_ key: Key) throws -> JSONValueDecoder {
        // The key of the path has no number, which would be taken for a place in an array.
        let name = JSONKey(stringValue: key.stringValue)
        guard let value = object[key.stringValue] else { throw JSONError(at: codingPath + [name], "is missing") }
        return decoder.child(value, name)
    }

    func contains(_ key: Key) -> Bool { object[key.stringValue] != nil }

    func decodeNil(forKey key: Key) throws -> Bool {
        try object[key.stringValue].map { $0 == .null } ?? field(key).decodeNil()
    }

    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
        if let value = object[key.stringValue], let primitive = JSONPrimitives.value(value, as: type) {
            return primitive
        }
        return try field(key).decode(type)
    }

    func nestedContainer<Nested>(keyedBy: Nested.Type, forKey key: Key) throws -> KeyedDecodingContainer<Nested> {
        try field(key).container(keyedBy: keyedBy)
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try field(key).unkeyedContainer()
    }

    func superDecoder() throws -> any Decoder { decoder }

    func superDecoder(forKey key: Key) throws -> any Decoder { try field(key) }
}

/// The elements of an array, in order.
private struct JSONArrayDecoding: UnkeyedDecodingContainer {
    private let decoder: JSONValueDecoder
    private let elements: [JSONValue]
    private(set) var currentIndex = 0

    init(_ decoder: JSONValueDecoder) throws {
        guard case .array(let elements) = decoder.value else {
            throw JSONError(at: decoder.codingPath, "must be an array")
        }
        (self.decoder, self.elements) = (decoder, elements)
    }

    var codingPath: [any CodingKey] { decoder.codingPath }
    var count: Int? { elements.count }
    var isAtEnd: Bool { currentIndex == elements.count }

    private func element() throws -> JSONValueDecoder {
        let key = JSONKey(intValue: currentIndex)
        guard !isAtEnd else { throw JSONError(at: codingPath + [key], "is missing") }
        return decoder.child(elements[currentIndex], key)
    }

    /// Takes an element, which stays where it cannot be read.
    private mutating func take<Result>(_ read: (JSONValueDecoder) throws -> Result) throws -> Result {
        let result = try read(element())
        currentIndex += 1
        return result
    }

    mutating func decodeNil() throws -> Bool {
        guard try element().decodeNil() else { return false }
        currentIndex += 1
        return true
    }

    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        if !isAtEnd, let primitive = JSONPrimitives.value(elements[currentIndex], as: type) {
            currentIndex += 1
            return primitive
        }
        return try take { try $0.decode(type) }
    }

    mutating func nestedContainer<Nested>(keyedBy: Nested.Type) throws -> KeyedDecodingContainer<Nested> {
        try take { try $0.container(keyedBy: keyedBy) }
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        try take { try $0.unkeyedContainer() }
    }

    mutating func superDecoder() throws -> any Decoder { try take { $0 } }
}
