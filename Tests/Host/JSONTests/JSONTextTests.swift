// SPDX-License-Identifier: Apache-2.0

import JSON
import Testing

@Suite struct JSONTextTests {
    private static let everything: JSONValue = [
        "null": nil, "bool": [true, false], "integer": [0, -1, .integer(.max), .integer(.min)],
        "number": [0.5, -1e300, 5e-300, 1e16, 1.0], "string": "\u{0}\u{1f}\u{7f}\"\\\n\r\t/é😀",
        "empty": [[], [:], ""],
    ]

    @Test func `a text is compact, with members in order`() {
        let value: JSONValue = ["b": [1, 2.5, nil], "a": ["c": "x y"], "e": [:]]
        #expect(value.text == #"{"b":[1,2.5,null],"a":{"c":"x y"},"e":{}}"#)
    }

    @Test func `a pretty text has one member a line`() {
        let value: JSONValue = ["b": [1, true], "a": [:]]
        #expect(value.prettyText == "{\n  \"b\": [\n    1,\n    true\n  ],\n  \"a\": {}\n}")
    }

    @Test func `quotes, backslashes and control characters are escaped`() {
        #expect(JSONValue.string("\"\\\n\r\t\u{0}\u{1f}").text == #""\"\\\n\r\t\u0000\u001f""#)
    }

    @Test func `what is written is read as the same value`() throws {
        #expect(try JSONValue(parsing: Array(Self.everything.text.utf8)) == Self.everything)
        #expect(try JSONValue(parsing: Array(Self.everything.prettyText.utf8)) == Self.everything)
    }

    @Test func `what JSON has no word for becomes null`() {
        #expect(JSONValue.array([.number(.infinity), .number(.nan)]).text == "[null,null]")
    }

    @Test func `an object has each name once, at its first place`() {
        var object: JSONObject = ["a": 1, "b": 2, "a": 3]
        #expect(object.names == ["a", "b"])
        #expect(object["a"] == 3)
        object["a"] = .some(nil)
        #expect(object.names == ["a", "b"])
        object["a"] = Optional.none
        #expect(object == ["b": 2])
        #expect(object["a"] == Optional.none)
        #expect(JSONValue.object(["x": 1, "y": 2]) == ["y": 2, "x": 1])
    }
}
