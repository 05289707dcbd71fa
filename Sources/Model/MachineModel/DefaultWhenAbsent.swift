// SPDX-License-Identifier: Apache-2.0

/// A type that has a value for fields which are left out: false, an empty array, a machine of the usual size.
public protocol HasDefault: Codable, Hashable {
    /// Makes the value of a field that is left out.
    init()
}

extension Bool: HasDefault {}
extension UInt64: HasDefault {}
extension String: HasDefault {}
extension Array: HasDefault where Element: Codable & Hashable {}

/// A field that JSON may leave out or set to null, and that has the default of its type then.
@propertyWrapper
public struct DefaultWhenAbsent<Value: HasDefault>: Codable, Hashable {
    /// The value of the field.
    public var wrappedValue: Value

    /// Makes a field with the default of its type.
    public init() {
        wrappedValue = Value()
    }

    public init(from decoder: any Decoder) throws {
        wrappedValue = try decoder.singleValueContainer().decode(Value.self)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(wrappedValue)
    }
}

extension KeyedDecodingContainer {
    /// Decodes a field that may be left out: the compiler's `init(from:)` prefers this function for such fields.
    func decode<Value>(
        _ type: DefaultWhenAbsent<Value>.Type,
        forKey key: Key
    ) throws -> DefaultWhenAbsent<Value> {
        try decodeIfPresent(type, forKey: key) ?? DefaultWhenAbsent()
    }
}

extension DefaultWhenAbsent: Sendable where Value: Sendable {}
