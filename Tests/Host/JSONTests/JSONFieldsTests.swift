// SPDX-License-Identifier: Apache-2.0

import JSON
import Testing

@Suite struct JSONFieldsTests {
    private enum Cache: String, CaseIterable {
        case off = "Unsafe"
        case on = "Writeback"
    }

    private static let drive: JSONValue = [
        "drive_id": "root", "is_root_device": true, "cache_type": "Writeback", "count": 7,
        "rate_limiter": ["bandwidth": ["size": 5]], "list": [1, 2], "socket": nil,
    ]

    /// Expects that `body` throws an error with these words.
    private func expect<Value>(
        _ complaint: String,
        of value: JSONValue = drive,
        _ body: (inout JSONFields) throws -> Value
    ) {
        let error = #expect(throws: JSONError.self) {
            var fields = try JSONFields(value, of: "drive")
            _ = try body(&fields)
        }
        #expect(error?.description == complaint)
    }

    @Test func `an object is read field by field until nothing is left`() throws {
        var fields = try JSONFields(Self.drive, of: "drive")
        #expect(try fields.required("drive_id", .string) == "root")
        #expect(try fields.required("is_root_device", .bool))
        #expect(try fields.optional("cache_type", .enumeration(Cache.self)) == .on)
        #expect(try fields.required("count", .integer(in: 1...7)) == 7)
        var limiter = try fields.object("rate_limiter")
        var bandwidth = try #require(try limiter.optionalObject("bandwidth"))
        #expect(try bandwidth.required("size", .integer(in: 0...Int64.max)) == 5)
        try bandwidth.finish()
        let ops = try limiter.optionalObject("ops")
        #expect(ops == nil)
        try limiter.finish()
        #expect(try fields.required("list", .array) == [1, 2])
        #expect(try fields.optional("socket", .string) == nil)
        #expect(try fields.optional("absent", .string) == nil)
        try fields.finish()
    }

    @Test func `what is left over is named`() {
        expect("drive: unknown field 'foo'", of: ["foo": nil]) { try $0.finish() }
        expect("drive: unknown fields 'b', 'a'", of: ["b": 1, "a": 2]) { try $0.finish() }
    }

    @Test func `a field that has to be there is missed`() {
        expect("drive: field 'drive_id' is missing", of: [:]) { try $0.required("drive_id", .string) }
        expect("drive: 'socket' must be a string") { try $0.required("socket", .string) }
    }

    @Test func `a wrong type is told with the right one`() {
        expect("drive: 'count' must be a string") { try $0.required("count", .string) }
        expect("drive: 'count' must be true or false") { try $0.optional("count", .bool) }
        expect("drive: 'count' must be an array") { try $0.required("count", .array) }
        expect("drive: 'count' must be an object") { try $0.object("count") }
        expect("drive: 'count' must be an object") { try $0.optionalObject("count") }
        expect("drive: 'drive_id' must be an integer") { try $0.required("drive_id", .integer(in: 1...2)) }
        expect("drive: 'n' must be an integer", of: ["n": 1.5]) { try $0.required("n", .integer(in: 1...2)) }
        expect("drive: 'n' must be an integer", of: ["n": 1e19]) { try $0.required("n", .integer(in: 1...2)) }
        expect("drive: 'n' must be 1 to 2, not 3", of: ["n": 3.0]) { try $0.required("n", .integer(in: 1...2)) }
        expect("drive: must be an object", of: [1]) { try $0.finish() }
    }

    @Test func `a wrong value is told with the right ones`() {
        expect("drive: 'count' must be 1 to 6, not 7") { try $0.required("count", .integer(in: 1...6)) }
        expect("drive: 'drive_id' must be one of 'Unsafe', 'Writeback', not 'root'") {
            try $0.required("drive_id", .enumeration(Cache.self))
        }
        expect("drive: 'count' must be one of 'Unsafe', 'Writeback'") {
            try $0.required("count", .enumeration(Cache.self))
        }
    }

    @Test func `an object inside another has its place in errors`() {
        expect("drive.rate_limiter: field 'ops' is missing") { fields in
            var inner = try fields.object("rate_limiter")
            return try inner.required("ops", .string)
        }
    }
}
