// SPDX-License-Identifier: Apache-2.0

/// The members of a JSON object, in the order in which they came, each name once.
///
/// Two objects are equal if they have equal members, in whatever order.
package struct JSONObject: Sendable {
    package private(set) var names: [String] = []
    private var values: [String: JSONValue] = [:]

    /// An object without members.
    package init() {}

    /// Makes an object.
    ///
    /// - Parameter members: Names and values; of those with the same name the last one counts, at the place of the first.
    package init(_ members: some Sequence<(String, JSONValue)>) {
        for (name, value) in members { self[name] = value }
    }

    /// Appends a member.
    ///
    /// - Returns: False, and nothing is to be done with the object any more, where there is one of that name.
    mutating func add(_ name: String, _ value: JSONValue) -> Bool {
        names.append(name)
        return values.updateValue(value, forKey: name) == nil
    }

    /// The value of a member; nil where there is none, and to remove it.
    package subscript(name: String) -> JSONValue? {
        get { values[name] }
        set {
            let old = values[name]
            values[name] = newValue
            switch (old, newValue) {
            case (nil, .some): names.append(name)
            case (.some, nil): names.removeAll { $0 == name }
            default: break
            }
        }
    }
}

extension JSONObject: Hashable {
    package static func == (left: JSONObject, right: JSONObject) -> Bool { left.values == right.values }

    package func hash(into hasher: inout Hasher) { hasher.combine(values) }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
    package init(dictionaryLiteral elements: (String, JSONValue)...) { self.init(elements) }
}
