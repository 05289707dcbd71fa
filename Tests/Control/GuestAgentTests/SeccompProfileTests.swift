// SPDX-License-Identifier: Apache-2.0

import CHost
import GuestAgent
import Host
import JSON
import Testing

@Suite struct SeccompProfileTests {
    private static let (allowed, refused, missing): (UInt32, UInt32, UInt32) = (0x7fff_0000, 0x5_0001, 0x5_0026)

    /// Gives a system call to the filter of a profile.
    private static func answer(_ profile: JSONValue, _ name: String, _ arguments: UInt64...) throws -> UInt32 {
        let filter = try #require(try SeccompProfile.filter(of: ["linux": ["seccomp": profile]]))
        return evaluate(filter, Int(unsafe chost_system_call_number(name)), arguments)
    }

    /// Runs a filter as Linux's documentation of `networking/filter` says.
    private static func evaluate(_ filter: SystemCallFilter, _ number: Int, _ arguments: [UInt64] = []) -> UInt32 {
        var data: [UInt32] = [UInt32(number), 0xc000_003e, 0, 0]
        for index in 0..<6 {
            let argument = index < arguments.count ? arguments[index] : 0
            data += [UInt32(truncatingIfNeeded: argument), UInt32(argument >> 32)]
        }
        let words = filter.description["instructions"].elements.map { $0.bits ?? 0 }
        var (next, accumulator): (Int, UInt32) = (0, 0)
        while true {
            let word = words[next]
            let operand = UInt32(word >> 32)
            next += 1
            func jump(_ holds: Bool) { next += Int(UInt8(truncatingIfNeeded: word >> (holds ? 16 : 24))) }
            switch UInt16(truncatingIfNeeded: word) {
            case 0x20: accumulator = data[Int(operand) / 4]
            case 0x54: accumulator &= operand
            case 0x05: next += Int(operand)
            case 0x15: jump(accumulator == operand)
            case 0x25: jump(accumulator > operand)
            case 0x35: jump(accumulator >= operand)
            case 0x06: return operand
            default: return .max
            }
        }
    }

    @Test func `each call has its list's answer, others the usual one, and those newer than the list are not there`()
        throws
    {
        let names = ["read", "write", "openat", "exit_group", "clone", "close_range", "no_such_call"]
        let profile: JSONValue = [
            "defaultAction": "SCMP_ACT_ERRNO",
            "syscalls": [
                ["names": .array(names.map { .string($0) }), "action": "SCMP_ACT_ALLOW"],
                ["names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13],
                ["names": ["ptrace"], "action": "SCMP_ACT_KILL_PROCESS"],
            ],
        ]
        let filter = try #require(try SeccompProfile.filter(of: ["linux": ["seccomp": profile]]))
        let allowed = Set(names.map { Int(unsafe chost_system_call_number($0)) })
        for number in 0..<500 {
            let expected: UInt32 =
                switch number {
                case _ where allowed.contains(number): Self.allowed
                case 101: 0x8000_0000
                case 165: 0x5_000d
                case 437...: Self.missing
                default: Self.refused
                }
            #expect(Self.evaluate(filter, number) == expected, "\(number)")
        }
    }

    @Test func `a list that allows by default refuses what it names alone, also what is new`() throws {
        let profile: JSONValue = [
            "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [["names": ["sethostname"], "action": "SCMP_ACT_ERRNO"]],
        ]
        #expect(try Self.answer(profile, "sethostname") == Self.refused)
        #expect(try Self.answer(profile, "read") == Self.allowed)
        #expect(try Self.answer(profile, "futex_requeue") == Self.allowed)
        let empty: JSONValue = ["linux": ["seccomp": ["defaultAction": "SCMP_ACT_ALLOW"]]]
        #expect(try SeccompProfile.filter(of: empty) == nil)
        #expect(try SeccompProfile.filter(of: ["linux": [:]]) == nil)
    }

    @Test(
        arguments: [
            ("EQ", [false, true, false]), ("NE", [true, false, true]), ("LT", [true, false, false]),
            ("LE", [true, true, false]), ("GE", [false, true, true]), ("GT", [false, false, true]),
        ] as [(String, [Bool])]
    )
    func `an argument of 64 bits is compared as a whole`(comparison: String, holds: [Bool]) throws {
        for value in [5, 1 << 32, 1 << 32 + 5, 0xffff_ffff, 1 << 40 + 0xffff_ffff, 1 << 63 + 5] as [UInt64] {
            let profile: JSONValue = [
                "defaultAction": "SCMP_ACT_ERRNO",
                "syscalls": [
                    [
                        "names": ["personality"], "action": "SCMP_ACT_ALLOW",
                        "args": [
                            [
                                "index": 2, "value": try JSONValue(parsing: Array("\(value)".utf8)),
                                "op": .string("SCMP_CMP_\(comparison)"),
                            ]
                        ],
                    ]
                ],
            ]
            for (argument, holds) in zip([value - 1, value, value + 1], holds) {
                let answer = try Self.answer(profile, "personality", 1, 2, argument)
                #expect(answer == (holds ? Self.allowed : Self.refused), "\(argument) \(comparison) \(value)")
            }
        }
    }

    @Test func `conditions on different arguments must all hold, one of those on the same argument, and a mask is one`()
        throws
    {
        func allow(_ name: String, _ arguments: JSONValue...) -> JSONValue {
            ["names": [.string(name)], "action": "SCMP_ACT_ALLOW", "args": .array(arguments)]
        }
        let mask: JSONValue = ["index": 0, "value": 0x7e02_0000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"]
        let profile: JSONValue = [
            "defaultAction": "SCMP_ACT_ERRNO",
            "syscalls": [
                allow("clone", mask),
                allow(
                    "socket",
                    ["index": 0, "value": 1, "op": "SCMP_CMP_EQ"],
                    ["index": 1, "value": 2, "op": "SCMP_CMP_NE"]
                ),
                allow(
                    "personality",
                    ["index": 0, "value": 0, "op": "SCMP_CMP_EQ"],
                    ["index": 0, "value": 8, "op": "SCMP_CMP_EQ"]
                ),
                allow("personality", ["index": 0, "value": 0xffff_ffff, "op": "SCMP_CMP_EQ"]),
            ],
        ]
        #expect(try Self.answer(profile, "clone", 0x1200011) == Self.allowed)
        #expect(try Self.answer(profile, "clone", 0x1002_0011) == Self.refused)
        #expect(try Self.answer(profile, "socket", 1, 1) == Self.allowed)
        #expect(try Self.answer(profile, "socket", 1, 2) == Self.refused)
        #expect(try Self.answer(profile, "socket", 2, 1) == Self.refused)
        for argument in [0, 8, 0xffff_ffff] as [UInt64] {
            #expect(try Self.answer(profile, "personality", argument) == Self.allowed)
        }
        #expect(try Self.answer(profile, "personality", 9) == Self.refused)
    }

    @Test(
        arguments: [
            ["defaultAction": "SCMP_ACT_NOTIFY"], ["defaultAction": "SCMP_ACT_ALLOW", "flags": ["SCMP_FLAG"]],
            ["defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/listener"], [:],
            ["defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 5000],
            [
                "defaultAction": "SCMP_ACT_ERRNO",
                "syscalls": [
                    ["names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [["index": 6, "op": "SCMP_CMP_EQ"]]]
                ],
            ],
        ] as [JSONValue]
    )
    func `what is no profile, or asks a process of the host, is refused`(profile: JSONValue) {
        #expect(throws: AgentError.self) { try SeccompProfile.filter(of: ["linux": ["seccomp": profile]]) }
    }

    @Test func `a filter that is larger than a kernel takes is refused`() {
        let conditions: [JSONValue] = (0..<700).map { ["index": 0, "value": .integer($0), "op": "SCMP_CMP_EQ"] }
        let profile: JSONValue = [
            "defaultAction": "SCMP_ACT_ERRNO",
            "syscalls": [["names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": .array(conditions)]],
        ]
        #expect(throws: AgentError.self) { try SeccompProfile.filter(of: ["linux": ["seccomp": profile]]) }
    }

    @Test(.enabled(if: HostedAgent.isThere), arguments: [false, true])
    func `a program makes no call that its filter refuses, whether or not it may gain rights`(isFinal: Bool) throws {
        let profile: JSONValue = [
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [["names": ["chmod", "fchmod", "fchmodat"], "action": "SCMP_ACT_ERRNO"]],
        ]
        var program = GuestProgram(["/bin/sh", "-c", "chmod 700 / || grep Seccomp: /proc/self/status"])
        program.filter = try SeccompProfile.filter(of: ["linux": ["seccomp": profile]])
        program.hasNoNewPrivileges = isFinal
        let ending = try HostedAgent().run(program)
        #expect(ending.errorOutput.contains("Operation not permitted"))
        #expect(ending.output == "Seccomp:\t2\n")
    }
}
