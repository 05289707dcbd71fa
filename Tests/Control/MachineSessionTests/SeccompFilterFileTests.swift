// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import MachineSession
import SystemPackage
import TestSupport
import Testing

/// The user's own lists of system calls, in the JSON of Firecracker's seccompiler.
struct SeccompFilterFileTests {
    private static func read(_ text: String) throws -> Sandbox.OwnFilters {
        let folder = try TemporaryFolder()
        return try SeccompFilterFile.read(FilePath(try folder.write(Array(text.utf8), to: "filters")))
    }

    /// A file whose threads of vCPUs have these rules, and all others any call.
    private static func text(_ action: String, _ rules: String) -> String {
        let other = #"{"default_action": "allow", "filter_action": "trap", "filter": []}"#
        return #"""
            {"Vmm": \#(other), "api": \#(other),
             "vcpu": {"default_action": "allow", "filter_action": \#(action), "filter": [\#(rules)]}}
            """#
    }

    /// Makes getpriority(2) with an argument on a vCPU's thread, and ends with its error number.
    private static func attempt(_ action: String, _ rules: String, _ argument: CInt) throws -> Never {
        let sandbox = Sandbox(Sandbox.Settings())
        sandbox.replaceLists(by: try read(text(action, rules)))
        try sandbox.enter(log: nil)
        sandbox.restrictThread("vcpu 0")
        errno = 0
        let result = getpriority(__priority_which_t(argument), 0)
        _exit(result == -1 ? errno : 0)
    }

    private static let rule =
        #"{"syscall": "getpriority", "args": [{"index": 0, "type": "dword", "op": "eq", "val": 1}]}"#
    private static let masked = #"""
        {"syscall": "getpriority", "args": [{"index": 0, "type": "qword", "op": {"masked_eq": 254}, "val": 2}]}
        """#

    @Test(.enabled(if: Sandbox.hasFilters, "a sanitizer makes calls of its own"))
    func `a file's rules take the place of the lists`() async {
        await #expect(processExitsWith: .exitCode(0)) { try Self.attempt(#"{"errno": 77}"#, Self.rule, 0) }
        await #expect(processExitsWith: .exitCode(77)) { try Self.attempt(#"{"errno": 77}"#, Self.rule, 1) }
        await #expect(processExitsWith: .signal(SIGSYS)) { try Self.attempt(#""kill_process""#, Self.rule, 1) }
        await #expect(processExitsWith: .exitCode(0)) { try Self.attempt(#"{"errno": 77}"#, Self.masked, 1) }
        await #expect(processExitsWith: .exitCode(77)) { try Self.attempt(#"{"errno": 77}"#, Self.masked, 2) }
    }

    @Test func `a call that is newer than the list has the default action`() throws {
        let trap = #"{"default_action": "trap", "filter_action": "allow", "filter": [{"syscall": "read"}]}"#
        let filters = try Self.read(#"{"vmm": \#(trap), "api": \#(trap), "vcpu": \#(trap)}"#)
        // The program's last instruction answers them: SECCOMP_RET_TRAP.
        #expect(filters.all.last == 0x0003_0000 << 32 | 0x06)
    }

    @Test(
        arguments: [
            ("Invalid BPF!", "is no list"), ("{}", "vmm, api, vcpu"), (text(#""deny""#, ""), "an action is"),
            (text(#""trap""#, #"{"syscall": "fly"}"#), "no system call 'fly'"),
            (text(#""trap""#, rule.replacing("eq", with: "like")), "'op' is"),
            (text(#""trap""#, rule.replacing("0,", with: "6,")), "'index' from 0 to 5"),
            (text(#""trap""#, rule.replacing("dword", with: "word")), "'type' dword or qword"),
            (text(#""trap""#, #"{"syscall": "read", "args": {"index": 0}}"#), "'args' is a list"),
            (text(#"{"errno": -1}"#, ""), "an action is"),
            (
                text(
                    #""trap""#,
                    rule.replacing("}]}", with: #"}, {"index": 0, "type": "dword", "op": "gt", "val": 9}]}"#)
                ), "once"
            ),
        ]
    )
    func `a file that is none is refused in words`(text: String, words: String) throws {
        let error = #expect(throws: (any Error).self) { try Self.read(text) }
        #expect("\(error.map { "\($0)" } ?? "")".contains(words), "\(String(describing: error))")
    }
}
