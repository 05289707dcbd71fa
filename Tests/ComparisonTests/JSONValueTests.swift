// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Comparison

@Suite struct JSONValueTests {
    static let texts: [(JSONValue, String)] = [
        (.null, "null"), (true, "true"), (3, "3"), (0.25, "0.25"), (.number(.nan), "null"),
        (.number(.infinity), "null"), (.number(-2), "-2"), (.number(1e300), "1e+300"),
        ([1, "a", .null], "[1, \"a\", null]"), ([], "[]"), (.object([JSONValue.Member]()), "{}"),
    ]

    @Test(arguments: texts)
    func `values are written as RFC 8259 says`(value: JSONValue, text: String) {
        #expect(value.text == text)
    }

    @Test func `strings escape what must be escaped`() {
        #expect(JSONValue.string("a\"\\\n\t\r\u{1}é").text == #""a\"\\\n\t\r\u0001é""#)
    }

    @Test func `objects keep the order of their members`() {
        let value: JSONValue = ["b": 1, "a": [["c": 2]]]
        #expect(value.text == "{\n  \"b\": 1,\n  \"a\": [\n    {\n      \"c\": 2\n    }\n  ]\n}")
    }
}
