// SPDX-License-Identifier: Apache-2.0

import CHost
import Host
package import JSON

/// OCI's `linux.seccomp`, which becomes a filter for a container's programs in a guest.
///
/// Not by libseccomp: a kernel tries a new filter with the number of each system call there is, and the one that libseccomp makes of an engine's
/// list of some 400 names is long enough for that to cost a guest more than all else about a program, where the host interprets it. Here calls with
/// neighbouring numbers and one answer are one interval, found by bisection.
package struct SeccompProfile {
    /// - Parameter configuration: A whole `config.json`.
    /// - Returns: The filter of its programs; `nil` where they may make any call.
    /// - Throws: `AgentError.unusable` where the profile is none, or one that asks a process of the host.
    package static func filter(of configuration: JSONValue) throws(AgentError) -> SystemCallFilter? {
        guard configuration["linux"]["seccomp"] != .null else { return nil }
        let profile = try SeccompProfile(configuration["linux"]["seccomp"])
        return try profile.instructions.map { instructions throws(AgentError) in
            SystemCallFilter(try checked(instructions), flags: profile.flags)
        }
    }

    /// The program of a list that has an answer to every call, those that are newer than it included: for a process of the host's.
    ///
    /// - Parameter list: In OCI's form, as `linux.seccomp`.
    /// - Returns: The instructions as they lie in memory.
    /// - Throws: As `filter(of:)`.
    package static func program(of list: JSONValue) throws(AgentError) -> [UInt64] {
        var profile = try SeccompProfile(list)
        profile.hidesNewerCalls = false
        return try checked(profile.instructions ?? [answer(allowed)]).map(\.word)
    }

    private static func checked(_ instructions: [Instruction]) throws(AgentError) -> [Instruction] {
        guard instructions.count <= 4096 /* BPF_MAXINSNS */ else {
            throw problem("its filter has \(instructions.count) instructions, and a kernel takes 4096")
        }
        return instructions
    }

    private typealias Instruction = SystemCallFilter.Instruction

    /// The answer to a system call: what the filter returns, or rules that look at the arguments, of which the first that applies counts.
    private enum Answer: Hashable {
        case value(UInt32)
        case rules([Rule])
    }

    private struct Rule: Hashable {
        let conditions: [Condition]
        let value: UInt32
    }

    private struct Condition: Hashable {
        enum Operator: String {
            case notEqual = "SCMP_CMP_NE"
            case less = "SCMP_CMP_LT"
            case lessOrEqual = "SCMP_CMP_LE"
            case equal = "SCMP_CMP_EQ"
            case greaterOrEqual = "SCMP_CMP_GE"
            case greater = "SCMP_CMP_GT"
            case masked = "SCMP_CMP_MASKED_EQ"
        }

        let argument: UInt32
        let comparison: Operator
        let value: UInt64
        let mask: UInt64
    }

    /// Indicates whether calls beyond the last number of a list are unknown, instead of having the default action.
    private var hidesNewerCalls = true
    private let defaultValue: UInt32
    private var answers: [Int: Answer] = [:]
    private var flags: UInt32 = 0

    private init(_ profile: JSONValue) throws(AgentError) {
        guard profile["listenerPath"] == .null else { throw Self.problem("a listener for notifications is not served") }
        defaultValue = try Self.value(profile["defaultAction"], profile["defaultErrnoRet"])
        for flag in profile["flags"].elements {
            switch flag.string {
            case "SECCOMP_FILTER_FLAG_LOG": flags |= 2
            case "SECCOMP_FILTER_FLAG_SPEC_ALLOW": flags |= 4
            case "SECCOMP_FILTER_FLAG_TSYNC": break  // a program begins with one thread
            case let name: throw Self.problem("unknown flag '\(printable(name ?? ""))'")
            }
        }
        for call in profile["syscalls"].elements {
            let value = try Self.value(call["action"], call["errnoRet"])
            let rules = try Self.rules(call["args"].elements, value)
            // A name that this kernel does not have names nothing, as for other runtimes.
            for name in call["names"].elements.compactMap(\.string) {
                let number = Int(unsafe chost_system_call_number(name))
                if number >= 0 { add(rules, value, to: number) }
            }
        }
    }

    /// A rule without conditions counts more than those that have some, whichever comes first.
    private mutating func add(_ rules: [Rule], _ value: UInt32, to number: Int) {
        switch answers[number] {
        case .value: if rules.isEmpty { answers[number] = .value(value) }
        case .rules(let before): answers[number] = rules.isEmpty ? .value(value) : .rules(before + rules)
        case nil: answers[number] = rules.isEmpty ? .value(value) : .rules(rules)
        }
    }

    // MARK: - Reading

    private static func problem(_ text: String) -> AgentError { .unusable("linux.seccomp: \(text)") }

    /// Reads an action, and gives the value by which a filter asks for it: SECCOMP_RET_* of linux/seccomp.h.
    private static func value(_ action: JSONValue, _ error: JSONValue) throws(AgentError) -> UInt32 {
        let number = UInt32(clamping: error.integerValue ?? 1 /* EPERM */)
        guard number < 4096 else { throw problem("\(number) is not an error number") }
        return switch action.string {
        case "SCMP_ACT_ALLOW": allowed
        case "SCMP_ACT_LOG": logged
        case "SCMP_ACT_ERRNO": errorNumber | number
        case "SCMP_ACT_TRACE": 0x7ff0_0000 | number
        case "SCMP_ACT_TRAP": 0x0003_0000
        case "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD": 0
        case "SCMP_ACT_KILL_PROCESS": killed
        case let name: throw problem("the action '\(printable(name ?? ""))' is not served")
        }
    }

    private static let (allowed, logged, errorNumber, killed): (UInt32, UInt32, UInt32, UInt32) = (
        0x7fff_0000, 0x7ffc_0000, 0x0005_0000, 0x8000_0000
    )

    /// Conditions on different arguments must all hold; where two are on one argument, each is a rule of its own, as for other runtimes.
    private static func rules(_ arguments: [JSONValue], _ value: UInt32) throws(AgentError) -> [Rule] {
        var conditions: [Condition] = []
        for argument in arguments {
            guard let index = argument["index"].integerValue, (0...5).contains(index),
                let comparison = Condition.Operator(rawValue: argument["op"].string ?? "")
            else { throw problem("a condition has an index from 0 to 5 and an operator, SCMP_CMP_*") }
            let (first, second) = (argument["value"].bits ?? 0, argument["valueTwo"].bits ?? 0)
            let isMasked = comparison == .masked
            conditions.append(
                Condition(
                    argument: UInt32(index),
                    comparison: comparison,
                    value: isMasked ? second : first,
                    mask: isMasked ? first : .max
                )
            )
        }
        if conditions.isEmpty { return [] }
        let isOneRule = Set(conditions.map(\.argument)).count == conditions.count
        return (isOneRule ? [conditions] : conditions.map { [$0] }).map { Rule(conditions: $0, value: value) }
    }

    // MARK: - The filter

    /// `nil` where everything is allowed.
    private var instructions: [Instruction]? {
        // From 0 on, each number's answer; the last one is that of all numbers above it.
        var all: [Answer] = []
        for (number, answer) in answers.sorted(by: { $0.key < $1.key }) {
            all += Array(repeating: .value(defaultValue), count: number - all.count) + [answer]
        }
        // A call that is newer than the list was not refused on purpose: the C library is to use an older one.
        let isList = hidesNewerCalls && defaultValue != Self.allowed && defaultValue != Self.logged && !answers.isEmpty
        all.append(.value(isList ? Self.errorNumber | 38 /* ENOSYS */ : defaultValue))
        guard Set(all) != [.value(Self.allowed)] else { return nil }
        var intervals: [(start: Int, answer: Answer)] = []
        for (number, answer) in all.enumerated() where intervals.last?.answer != answer {
            intervals.append((number, answer))
        }
        let start = [
            Self.load(4), Instruction(Self.jumpIfEqual, 0xc000_003e /* AUDIT_ARCH_X86_64 */, ifTrue: 1),
            Self.answer(Self.killed), Self.load(0),
        ]
        return start + bisected(intervals[...], end: all.count)
    }

    /// Divides where half of the numbers are on either side: a kernel tries each of them.
    private func bisected(_ intervals: ArraySlice<(start: Int, answer: Answer)>, end: Int) -> [Instruction] {
        guard let first = intervals.first, intervals.count > 1 else { return intervals.flatMap { code($0.answer) } }
        let distance = { abs(2 * intervals[$0].start - first.start - end) }
        let middle = intervals.indices.dropFirst().min { distance($0) < distance($1) } ?? intervals.startIndex
        let number = UInt32(intervals[middle].start)
        let (low, high) = (bisected(intervals[..<middle], end: Int(number)), bisected(intervals[middle...], end: end))
        if let distance = UInt8(exactly: low.count) {
            return [Instruction(Self.jumpIfGreaterOrEqual, number, ifTrue: distance)] + low + high
        }
        // Only a jump without a condition goes as far.
        return [
            Instruction(Self.jumpIfGreaterOrEqual, number, ifFalse: 1), Instruction(Self.jump, UInt32(low.count)),
        ] + low + high
    }

    private func code(_ answer: Answer) -> [Instruction] {
        switch answer {
        case .value(let value): [Self.answer(value)]
        case .rules(let rules): rules.flatMap(code) + [Self.answer(defaultValue)]
        }
    }

    /// Goes to what follows the rule where a condition does not hold.
    private func code(_ rule: Rule) -> [Instruction] {
        rule.conditions.reversed().reduce([Self.answer(rule.value)]) { rest, condition in
            Self.code(condition, to: UInt8(rest.count)) + rest
        }
    }

    /// Goes on behind itself where a condition holds, and `failure` instructions further where it does not.
    private static func code(_ condition: Condition, to failure: UInt8) -> [Instruction] {
        // struct seccomp_data: arguments of 64 bits from byte 16 on, the low half first.
        let low = load(16 + 8 * condition.argument)
        let high = load(20 + 8 * condition.argument)
        let (lowValue, highValue) = (UInt32(truncatingIfNeeded: condition.value), UInt32(condition.value >> 32))
        func ordered(_ code: UInt16, holds: UInt8, fails: UInt8) -> [Instruction] {
            [
                high, Instruction(jumpIfGreater, highValue, ifTrue: holds + 3),
                Instruction(jumpIfEqual, highValue, ifFalse: fails + 2),
                low, Instruction(code, lowValue, ifTrue: holds, ifFalse: fails),
            ]
        }
        switch condition.comparison {
        case .equal, .masked:
            let (lowMask, highMask) = (UInt32(truncatingIfNeeded: condition.mask), UInt32(condition.mask >> 32))
            return [
                high, Instruction(and, highMask), Instruction(jumpIfEqual, highValue, ifFalse: failure + 3),
                low, Instruction(and, lowMask), Instruction(jumpIfEqual, lowValue, ifFalse: failure),
            ]
        case .notEqual:
            return [
                high, Instruction(jumpIfEqual, highValue, ifFalse: 2), low,
                Instruction(jumpIfEqual, lowValue, ifTrue: failure),
            ]
        case .greaterOrEqual: return ordered(jumpIfGreaterOrEqual, holds: 0, fails: failure)
        case .greater: return ordered(jumpIfGreater, holds: 0, fails: failure)
        case .less: return ordered(jumpIfGreaterOrEqual, holds: failure, fails: 0)
        case .lessOrEqual: return ordered(jumpIfGreater, holds: failure, fails: 0)
        }
    }

    private static func load(_ offset: UInt32) -> Instruction {
        Instruction(0x20 /* BPF_LD, BPF_W, BPF_ABS */, offset)
    }
    private static func answer(_ value: UInt32) -> Instruction { Instruction(0x06 /* BPF_RET, BPF_K */, value) }

    /// BPF_JMP with BPF_JA, BPF_JEQ, BPF_JGT and BPF_JGE, and BPF_ALU with BPF_AND, all with BPF_K.
    private static let (jump, jumpIfEqual, and): (UInt16, UInt16, UInt16) = (0x05, 0x15, 0x54)
    private static let (jumpIfGreater, jumpIfGreaterOrEqual): (UInt16, UInt16) = (0x25, 0x35)
}
