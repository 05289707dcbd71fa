// SPDX-License-Identifier: Apache-2.0

/// Takes the parts of an `Encodable` value, and is its own container of a single value.
struct JSONValueEncoder: Encoder, SingleValueEncodingContainer {
    let node: JSONNode
    let codingPath: [any CodingKey]

    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        node.beginObject()
        return KeyedEncodingContainer(JSONObjectEncoding(encoder: self))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        node.beginArray()
        return JSONArrayEncoding(encoder: self)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { self }

    func encodeNil() { node.set(.null) }

    func encode<Value: Encodable>(_ value: Value) throws { node.set(try self.value(of: value)) }

    /// The JSON of a whole value.
    func value(of value: some Encodable) throws -> JSONValue {
        if let primitive = value as? any JSONPrimitive {
            guard let json = primitive.json else {
                throw JSONError(at: codingPath, "must be a finite number, not \(value)")
            }
            return json
        }
        let encoder = JSONValueEncoder(node: JSONNode(), codingPath: codingPath)
        try value.encode(to: encoder)
        return encoder.node.value
    }

    fileprivate func child(_ node: JSONNode, _ key: any CodingKey) -> JSONValueEncoder {
        JSONValueEncoder(node: node, codingPath: codingPath + [key])
    }
}

/// A JSON value on its way: containers of it may still be filled.
final class JSONNode {
    private enum Part {
        case whole(JSONValue)
        case node(JSONNode)

        var value: JSONValue {
            switch self {
            case .whole(let value): value
            case .node(let node): node.value
            }
        }
    }

    private enum Content {
        case nothing
        case whole(JSONValue)
        case object([(name: String, part: Part)])
        case array([Part])
    }

    private var content = Content.nothing

    /// The value; an object without fields where the type encoded nothing.
    var value: JSONValue {
        switch content {
        case .nothing: [:]
        case .whole(let value): value
        case .object(let members): .object(JSONObject(members.map { ($0.name, $0.part.value) }))
        case .array(let elements): .array(elements.map(\.value))
        }
    }

    var elementCount: Int {
        if case .array(let elements) = content { elements.count } else { 0 }
    }

    func set(_ value: JSONValue) { content = .whole(value) }

    func beginObject() {
        if case .nothing = content { content = .object([]) }
    }

    func beginArray() {
        if case .nothing = content { content = .array([]) }
    }

    func append(_ value: JSONValue, as name: String?) { append(.whole(value), as: name) }

    func appendNode(as name: String?) -> JSONNode {
        let node = JSONNode()
        append(.node(node), as: name)
        return node
    }

    private func append(_ part: Part, as name: String?) {
        // Taken out for the change, or the array would be copied.
        let old = content
        content = .nothing
        switch (old, name) {
        case (.object(var members), let name?):
            members.append((name, part))
            content = .object(members)
        case (.array(var elements), nil):
            elements.append(part)
            content = .array(elements)
        default: content = old
        }
    }
}

private struct JSONObjectEncoding<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let encoder: JSONValueEncoder

    var codingPath: [any CodingKey] { encoder.codingPath }

    private func child(_ key: Key) -> JSONValueEncoder {
        encoder.child(encoder.node.appendNode(as: key.stringValue), JSONKey(stringValue: key.stringValue))
    }

    func encodeNil(forKey key: Key) { encoder.node.append(.null, as: key.stringValue) }

    func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws {
        let child = encoder.child(encoder.node, JSONKey(stringValue: key.stringValue))
        encoder.node.append(try child.value(of: value), as: key.stringValue)
    }

    func nestedContainer<Nested>(keyedBy: Nested.Type, forKey key: Key) -> KeyedEncodingContainer<Nested> {
        child(key).container(keyedBy: keyedBy)
    }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { child(key).unkeyedContainer() }

    func superEncoder() -> any Encoder { encoder }

    func superEncoder(forKey key: Key) -> any Encoder { child(key) }
}

private struct JSONArrayEncoding: UnkeyedEncodingContainer {
    let encoder: JSONValueEncoder

    var codingPath: [any CodingKey] { encoder.codingPath }
    var count: Int { encoder.node.elementCount }

    private func child() -> JSONValueEncoder {
        let key = JSONKey(intValue: count)
        return encoder.child(encoder.node.appendNode(as: nil), key)
    }

    func encodeNil() { encoder.node.append(.null, as: nil) }

    func encode<Value: Encodable>(_ value: Value) throws {
        let child = encoder.child(encoder.node, JSONKey(intValue: count))
        encoder.node.append(try child.value(of: value), as: nil)
    }

    func nestedContainer<Nested>(keyedBy: Nested.Type) -> KeyedEncodingContainer<Nested> {
        child().container(keyedBy: keyedBy)
    }

    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { child().unkeyedContainer() }

    func superEncoder() -> any Encoder { child() }
}
