// SPDX-License-Identifier: Apache-2.0

import JSON
import Testing

@Suite struct JSONCodingTests {
    private enum Cache: String, Codable, CaseIterable {
        case off = "Unsafe"
        case on = "Writeback"
    }

    private struct Bucket: Codable, Hashable {
        var size: UInt64
        var delay: Double?
    }

    private struct Limiter: Codable, Hashable {
        var bandwidth: Bucket?
    }

    private struct Drive: Codable, Hashable {
        var id: String
        var isRoot: Bool
        var cache: Cache?
        var queues: UInt8?
        var limiter: Limiter?

        enum CodingKeys: String, CodingKey {
            case id = "drive_id"
            case isRoot = "is_root_device"
            case cache, queues
            case limiter = "rate_limiter"
        }
    }

    private struct Machine: Codable, Hashable {
        var drives: [Drive]
        var names: [String: Int]?
    }

    private enum Shape: Codable, Hashable {
        case point
        case circle(radius: Int)
    }

    private struct State: Codable, Hashable {
        var registers: [UInt64]
        var bytes: [UInt8] = [0, 255]
        var shapes: [Shape] = [.point, .circle(radius: 2)]
        var pairs: [Int: Bool] = [7: true]
        var nested: [[Int?]] = [[1, nil], []]
        var least: Int64 = .min
    }

    private func value(_ text: String) throws -> JSONValue {
        try JSONValue(parsing: Array(text.utf8))
    }

    private func expect<Value: Decodable>(_ complaint: String, of text: String, as type: Value.Type = Machine.self)
        throws
    {
        let value = try value(text)
        let error = #expect(throws: JSONError.self) { try value.decode(as: type) }
        #expect(error?.description == complaint)
    }

    private static let drive = #"{"drive_id":"a","is_root_device":true"#

    @Test func `an object becomes a value of its type`() throws {
        let text =
            #"{"drives":[\#(Self.drive),"cache":"Writeback","queues":2.0,"rate_limiter":{"bandwidth":{"size":5}}}]}"#
        let machine = try value(text).decode(as: Machine.self)
        let limiter = Limiter(bandwidth: Bucket(size: 5))
        #expect(machine == Machine(drives: [Drive(id: "a", isRoot: true, cache: .on, queues: 2, limiter: limiter)]))
    }

    @Test func `a field that may be absent may be null`() throws {
        let drive = try value(Self.drive + #","cache":null,"rate_limiter":null}"#).decode(as: Drive.self)
        #expect(drive == Drive(id: "a", isRoot: true))
    }

    @Test func `an error names the field by its path`() throws {
        func drives(_ rest: String) -> String { #"{"drives":[\#(Self.drive)},\#(Self.drive)\#(rest)}]}"# }
        let size = "drives[1].rate_limiter.bandwidth.size"
        func bucket(_ fields: String) -> String { drives(#","rate_limiter":{"bandwidth":{\#(fields)}}"#) }
        try expect("\(size): must be an integer", of: bucket(#""size":"x""#))
        try expect("\(size): must be an integer", of: bucket(#""size":1.5"#))
        try expect("\(size): must be an integer", of: bucket(#""size":null"#))
        try expect("\(size): must be 0 to 18446744073709551615, not -1", of: bucket(#""size":-1"#))
        try expect("\(size): is missing", of: bucket(""))
        try expect("drives[1].rate_limiter.bandwidth.sise: unknown field", of: bucket(#""size":1,"sise":null"#))
        try expect("drives[1].rate_limiter.bandwidth.delay: must be a number", of: bucket(#""size":1,"delay":"x""#))
        try expect("drives[1].rate_limiter: must be an object", of: drives(#","rate_limiter":[]"#))
        try expect("drives[1].queues: must be 0 to 255, not 256", of: drives(#","queues":256"#))
        let large = "18446744073709551615"
        try expect("drives[1].queues: must be 0 to 255, not \(large)", of: drives(#","queues":\#(large)"#))
        try expect("drives[1].cache: must be one of 'Unsafe', 'Writeback', not 'On'", of: drives(#","cache":"On""#))
        try expect("drives[1].cache: must be a string", of: drives(#","cache":1"#))
        try expect("drives: must be an array", of: #"{"drives":{}}"#)
        try expect("drives: is missing", of: "{}")
        try expect("names.a: must be an integer", of: #"{"drives":[],"names":{"a":true}}"#)
        try expect(
            "drives[0].is_root_device: must be true or false",
            of: #"{"drives":[{"drive_id":"","is_root_device":1}]}"#
        )
        try expect("must be an object", of: "1")
    }

    @Test func `an error begins with the name of the whole where it has one`() throws {
        let error = #expect(throws: JSONError.self) { try JSONValue.object([:]).decode(as: Drive.self, named: "drive") }
        #expect(error?.description == "drive.drive_id: is missing")
    }

    @Test func `a value that is encoded has its fields in order and none for nil`() throws {
        let json = try JSONValue(encoding: Machine(drives: [Drive(id: "a", isRoot: false, queues: 3)]))
        #expect(json.text == #"{"drives":[{"drive_id":"a","is_root_device":false,"queues":3}]}"#)
    }

    @Test func `what is encoded and written is read and decoded as the same value`() throws {
        let state = State(registers: [0, 1, UInt64(Int64.max), UInt64(Int64.max) + 1, .max])
        let json = try JSONValue(encoding: state)
        #expect(json.text.contains("9223372036854775808,18446744073709551615"))
        #expect(try value(json.text).decode(as: State.self) == state)
        // As it was written once.
        #expect(try value(#"["18446744073709551615"]"#).decode(as: [UInt64].self) == [.max])
    }

    @Test(arguments: [
        #"["1"]"#, #"["018446744073709551615"]"#, #"["+18446744073709551615"]"#, #"["18446744073709551616"]"#,
    ])
    func `only an integer beyond Int64 may be a string`(text: String) throws {
        try expect("[0]: must be an integer", of: text, as: [UInt64].self)
    }

    @Test(arguments: [.infinity, -.infinity, .nan] as [Double])
    func `a number that JSON cannot say is refused`(number: Double) {
        let error = #expect(throws: JSONError.self) { try JSONValue(encoding: ["a": [number]]) }
        #expect(error?.description == "a[0]: must be a finite number, not \(number)")
    }
}
