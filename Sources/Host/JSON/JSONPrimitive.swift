// SPDX-License-Identifier: Apache-2.0

/// A type whose values are a JSON value without parts.
protocol JSONPrimitive: Codable {
    /// The value as JSON; `nil` for a number that JSON cannot say.
    var json: JSONValue? { get }

    /// Reads a JSON value; `nil` for one of another type or out of range.
    init?(json value: JSONValue)

    /// The words that follow "must be" where `value` is refused.
    static func expectation(insteadOf value: JSONValue) -> String
}

extension Bool: JSONPrimitive {
    var json: JSONValue? { .bool(self) }

    init?(json value: JSONValue) {
        guard case .bool(let bool) = value else { return nil }
        self = bool
    }

    static func expectation(insteadOf value: JSONValue) -> String { "true or false" }
}

extension String: JSONPrimitive {
    var json: JSONValue? { .string(self) }

    init?(json value: JSONValue) {
        guard case .string(let string) = value else { return nil }
        self = string
    }

    static func expectation(insteadOf value: JSONValue) -> String { "a string" }
}

extension JSONPrimitive where Self: BinaryFloatingPoint {
    var json: JSONValue? { isFinite ? .number(Double(self)) : nil }

    init?(json value: JSONValue) {
        switch value {
        case .integer(let integer): self.init(integer)
        case .unsigned(let integer): self.init(integer)
        case .number(let number): self.init(number)
        default: return nil
        }
    }

    static func expectation(insteadOf value: JSONValue) -> String { "a number" }
}

extension JSONPrimitive where Self: FixedWidthInteger {
    var json: JSONValue? { Int64(exactly: self).map { .integer($0) } ?? .unsigned(UInt64(clamping: self)) }

    /// Integers beyond `Int64` may be strings of their digits, as they were written before version 1.2 of snapshots.
    init?(json value: JSONValue) {
        switch value {
        case .unsigned(let integer): self.init(exactly: integer)
        case .string(let digits):
            guard let integer = Self(digits), Int64(exactly: integer) == nil, "\(integer)" == digits else { return nil }
            self = integer
        default:
            guard let integer = value.integerValue else { return nil }
            self.init(exactly: integer)
        }
    }

    static func expectation(insteadOf value: JSONValue) -> String {
        if case .unsigned(let integer) = value { return "\(min) to \(max), not \(integer)" }
        guard let integer = value.integerValue else { return "an integer" }
        return "\(min) to \(max), not \(integer)"
    }
}

extension Double: JSONPrimitive {}
extension Float: JSONPrimitive {}
extension Int: JSONPrimitive {}
extension Int8: JSONPrimitive {}
extension Int16: JSONPrimitive {}
extension Int32: JSONPrimitive {}
extension Int64: JSONPrimitive {}
extension UInt: JSONPrimitive {}
extension UInt8: JSONPrimitive {}
extension UInt16: JSONPrimitive {}
extension UInt32: JSONPrimitive {}
extension UInt64: JSONPrimitive {}

/// All types that are a JSON value without parts.
enum JSONPrimitives {
    /// Finds the primitive that a type is.
    ///
    /// By comparing, because a cast to a protocol makes Swift's runtime look through all conformances of the program, once for
    /// each type that is asked for: some 50 us, which is a third of a snapshot's state.
    ///
    /// - Returns: The same type; `nil` for a type that is none of them.
    static func type(_ type: Any.Type) -> (any JSONPrimitive.Type)? {
        switch type {
        case is String.Type: String.self
        case is Bool.Type: Bool.self
        case is Int.Type: Int.self
        case is UInt8.Type: UInt8.self
        case is UInt16.Type: UInt16.self
        case is UInt32.Type: UInt32.self
        case is UInt64.Type: UInt64.self
        case is Int64.Type: Int64.self
        case is Int32.Type: Int32.self
        case is Int16.Type: Int16.self
        case is Int8.Type: Int8.self
        case is UInt.Type: UInt.self
        case is Double.Type: Double.self
        case is Float.Type: Float.self
        default: nil
        }
    }

    /// Reads a value without a path for errors, which few values need.
    ///
    /// - Returns: The value; `nil` where the type is not a primitive, or the JSON has another type.
    static func value<Value>(_ value: JSONValue, as type: Value.Type) -> Value? {
        // Not in one expression: an optional type would take the missing primitive for its nil.
        guard let primitive = Self.type(type)?.init(json: value) else { return nil }
        return primitive as? Value
    }
}
