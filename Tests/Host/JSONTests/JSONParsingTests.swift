// SPDX-License-Identifier: Apache-2.0

import JSON
import Testing

@Suite struct JSONParsingTests {
    @Test(
        arguments: [
            ("null", nil), (" true\n", true), ("false", false), ("0", 0), ("-0", 0), ("42", 42),
            ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
            ("9223372036854775808", .unsigned(1 << 63)), ("18446744073709551615", .unsigned(.max)),
            ("1.5", 1.5), ("1e3", 1000.0), ("-2.5E-1", -0.25), ("\"\"", ""), ("[]", []), ("{}", [:]),
            (#""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\u0000z""#, "a\"\\/\u{8}\u{c}\n\r\té😀\u{0}z"),
            (#"{"b":[1,{"c":null}],"a":"é"}"#, ["b": [1, ["c": nil]], "a": "é"]),
        ] as [(String, JSONValue)]
    )
    func `a JSON text of any type becomes its value`(text: String, value: JSONValue) throws {
        #expect(try JSONValue(parsing: Array(text.utf8)) == value)
    }

    @Test func `members keep their order`() throws {
        let value = try JSONValue(parsing: Array(#"{"z":1,"a":2,"m":3}"#.utf8))
        guard case .object(let object) = value else {
            Issue.record("no object")
            return
        }
        #expect(object.names == ["z", "a", "m"])
    }

    @Test(arguments: [
        "", " ", "nul", "True", "[1,]", "{,}", "{\"a\"}", "{\"a\":1,}", "{a:1}", "'a'", "[1] 2", "{}{}", "01", "+1",
        ".5", "1.",
        "1e", "0x1", "NaN", "Infinity", "-", "\"", "\"\n\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\udc00x\"",
        "// a\n1",
        "18446744073709551616", "-9223372036854775809", "1e999", "{\"a\":1,\"a\":1}", "{\"a\":1,\"\\u0061\":1}",
        "{\"\\u00e9\":1,\"e\\u0301\":1}", "{\"\\u0000\":1}", "\u{feff}1", "[", "{\"a\":", "]", "\u{0}",
    ])
    func `what is not strict JSON is refused in words`(text: String) {
        let error = #expect(throws: JSONError.self) { try JSONValue(parsing: Array(text.utf8)) }
        #expect(error?.description.hasPrefix("invalid JSON") == true)
    }

    @Test(arguments: [
        [0x22, 0xff, 0x22], [0x22, 0xc0, 0x80, 0x22], [0x22, 0xed, 0xa0, 0x80, 0x22], [0x22, 0xe2, 0x82],
    ])
    func `bytes that are not UTF-8 are refused`(bytes: [UInt8]) {
        #expect(throws: JSONError.self) { try JSONValue(parsing: bytes) }
    }

    @Test func `an error tells line and column`() {
        let error = #expect(throws: JSONError.self) { try JSONValue(parsing: Array("{\n  \"a\": x\n}".utf8)) }
        guard case .syntax(let line, _, let reason) = error else {
            Issue.record("no syntax error")
            return
        }
        #expect(line == 2)
        #expect(reason.contains("x"))
    }

    @Test(arguments: [("[", "]"), ("{\"[\\\"[\":", "}")])
    func `values lie at most 127 deep`(open: String, close: String) throws {
        func text(_ depth: Int) -> [UInt8] {
            Array((String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth)).utf8)
        }
        _ = try JSONValue(parsing: text(127))
        let error = #expect(throws: JSONError.self) { try JSONValue(parsing: text(128)) }
        #expect(error?.description.contains("line 1, column \(127 * open.utf8.count + 1): more than 127") == true)
        // What a recursive parser would not survive.
        #expect(throws: JSONError.self) { try JSONValue(parsing: text(1_000_000)) }
    }

    @Test func `brackets in strings are no depth`() throws {
        let text = String(repeating: "[", count: 100)
        #expect(try JSONValue(parsing: Array("[\"\(text)\\\"\(text)\"]".utf8)) == [.string("\(text)\"\(text)")])
    }

    @Test func `every text that is cut short is refused`() throws {
        let text = Array(#"{"a":[1,2.5,"é\u00e9"],"b":{"c":null,"d":true}}"#.utf8)
        _ = try JSONValue(parsing: text)
        for count in 0..<text.count {
            #expect(throws: JSONError.self) { try JSONValue(parsing: Array(text.prefix(count))) }
        }
    }
}
