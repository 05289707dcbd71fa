// SPDX-License-Identifier: Apache-2.0

import JSON

/// JSON Schema, as much of it as the description uses.
extension APIDescription {
    /// The problems of a value.
    func problems(with value: JSONValue, _ schema: JSONValue, at place: String = "body") -> [String] {
        let schema = resolved(schema)
        let value = value.integerValue.map { .integer($0) } ?? value
        return schema.members.names.flatMap { keyword in
            problems(with: value, keyword, schema[keyword], in: schema, at: place)
        }
    }

    private func problems(
        with value: JSONValue,
        _ keyword: String,
        _ rule: JSONValue,
        in schema: JSONValue,
        at place: String
    ) -> [String] {
        func unless(_ isFine: Bool) -> [String] { isFine ? [] : ["\(place): \(value.text) is against \(keyword)"] }
        switch (keyword, value) {
        case ("description", _), ("default", _), ("format", _): return []
        case ("type", _):
            return unless(rule == .string(value.typeName) || rule.elements.contains(.string(value.typeName)))
        case ("enum", _): return unless(rule.elements.contains(value))
        case ("oneOf", _):
            return unless(rule.elements.count { problems(with: value, $0, at: place).isEmpty } == 1)
        case ("minimum", .integer(let number)):
            if case .integer(let limit) = rule { return unless(number >= limit) }
        case ("maximum", .integer(let number)):
            if case .integer(let limit) = rule { return unless(number <= limit) }
            if case .unsigned = rule { return [] }
        case ("maximum", .unsigned(let number)):
            if case .unsigned(let limit) = rule { return unless(number <= limit) }
            return unless(false)
        case ("minLength", .string(let text)):
            if case .integer(let limit) = rule { return unless(text.unicodeScalars.count >= limit) }
        case ("pattern", .string(let text)):
            guard let pattern = try? Regex(rule.string) else { return ["\(place): \(rule.string) is no pattern"] }
            return unless(text.firstMatch(of: pattern) != nil)
        case ("items", .array(let elements)):
            return elements.flatMap { problems(with: $0, rule, at: place + "[]") }
        case ("required", .object(let object)):
            return rule.elements.filter { object[$0.string] == nil }.map { "\(place): \($0.string) is missing" }
        case ("properties", .object(let object)):
            return object.names.flatMap { name in
                rule[name] == .null ? [] : problems(with: object[name] ?? .null, rule[name], at: "\(place).\(name)")
            }
        case ("additionalProperties", .object(let object)):
            guard rule == false else { break }
            return object.names.filter { schema["properties"][$0] == .null }.map { "\(place): \($0) is unknown" }
        // About values of another type.
        case ("minimum", _), ("maximum", _), ("minLength", _), ("pattern", _), ("items", _), ("required", _),
            ("properties", _), ("additionalProperties", _):
            return []
        default: break
        }
        return ["\(place): this test does not understand \(keyword) \(rule.text)"]
    }

    // MARK: - Values

    /// A value that a schema allows; `texts` has those for fields of certain names.
    func sample(_ schema: JSONValue, _ name: String = "", texts: [String: JSONValue]) -> JSONValue {
        let schema = resolved(schema)
        if let text = texts[name] { return text }
        if schema["enum"] != .null { return schema["enum"][0] }
        switch schema["type"] == .null ? resolved(schema["oneOf"][0])["type"] : schema["type"] {
        case "object":
            let schema = schema["oneOf"] == .null ? schema : resolved(schema["oneOf"][0])
            return schema["required"].elements.reduce([:]) { object, name in
                object.setting(name.string, sample(schema["properties"][name.string], name.string, texts: texts))
            }
        case "integer", ["integer", "null"]: return schema["minimum"] == .null ? 0 : schema["minimum"]
        case "boolean", ["boolean", "null"]: return false
        case "string", ["string", "null"]: return "text"
        default: return .null
        }
    }

    /// Values at and beyond the edges of what a schema allows; which of them it does, `problems(with:_:at:)` tells.
    func candidates(_ schema: JSONValue, _ name: String = "", texts: [String: JSONValue]) -> [JSONValue] {
        let schema = resolved(schema)
        if schema["oneOf"] != .null { return candidates(schema["oneOf"][0], name, texts: texts) }
        let sample = sample(schema, name, texts: texts)
        var candidates: [JSONValue] = [sample, .null, [], 1.5, "nonsense", true] + schema["enum"].elements
        // There is no file of that name.
        if texts[name] != nil || schema["pattern"] != .null { candidates.removeAll { $0 == "nonsense" } }
        if case .integer(let minimum) = schema["minimum"] {
            candidates += [.integer(minimum), .number(Double(minimum)), .integer(minimum - 1)]
        }
        if case .integer(let maximum) = schema["maximum"] {
            candidates.append(.integer(maximum))
            if maximum < .max { candidates.append(.integer(maximum + 1)) }
        }
        if schema["maximum"] == .unsigned(.max) { candidates.append(.unsigned(.max)) }
        if schema["minLength"] != .null || schema["pattern"] != .null { candidates.append("") }
        if schema["pattern"] != .null { candidates.append("a\u{0}b") }
        if schema["pattern"] != .null, texts[name] == nil {
            candidates += [
                "a-b", .string(String(repeating: "a", count: 64)), .string(String(repeating: "a", count: 65)),
            ]
        }
        let properties = schema["properties"].members
        for property in properties.names {
            candidates += self.candidates(properties[property] ?? .null, property, texts: texts)
                .map { sample.setting(property, $0) }
        }
        candidates += schema["required"].elements.map { sample.setting($0.string, nil) }
        if case .object = sample { candidates += [sample.setting("unknown_field", 1), .object(sample.members)] }
        return candidates
    }
}

extension JSONValue {
    /// As JSON Schema calls it.
    fileprivate var typeName: String {
        switch self {
        case .null: "null"
        case .bool: "boolean"
        case .integer, .unsigned: "integer"
        case .number: "number"
        case .string: "string"
        case .array: "array"
        case .object: "object"
        }
    }
}
