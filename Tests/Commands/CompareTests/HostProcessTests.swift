// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import TestSupport
import Testing

@testable import Compare

@Suite struct HostProcessTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func start(_ script: String) throws -> HostProcess {
        try HostProcess(["/bin/sh", "-c", script], messages: "\(folder.path)/log", interruption: .never)
    }

    @Test func `output comes line by line, the last one also without an end`() throws {
        let process = try start("printf 'one\\r\\ntwo\\nthree'")
        #expect(try process.readLine(within: 60)?.text == "one")
        #expect(try process.readLine(within: 60)?.text == "two")
        #expect(try process.readLine(within: 60)?.text == "three")
        #expect(try process.readLine(within: 60) == nil)
        #expect(try process.waitForEnd(within: 60).status == 0)
    }

    @Test(arguments: [("exit 7", 7), ("kill -9 $$", 137)])
    func `the end has a status as a shell shows it`(script: String, status: CInt) throws {
        #expect(try start(script).waitForEnd(within: 60).status == status)
    }

    @Test(arguments: ["", "setsid"])
    func `whatever a process started ends with it, in a session of its own too`(prefix: String) throws {
        let process = try start("\(prefix) sleep 1000 & echo $!; wait")
        let child = try #require(try process.readLine(within: 60).flatMap { pid_t($0.text) })
        process.kill()
        try Deadline.wait(for: "the child's end") { kill(child, 0) != 0 || ProcessTable.parent(of: child) == nil }
    }

    @Test(.enabled(if: !Sanitizer.hasThread, "the child's error is in memory that a fork does not share"))
    func `a program that is not there is an error with its name`() {
        #expect(throws: ComparisonError.system(operation: "starting /nowhere", errno: .noSuchFileOrDirectory)) {
            try HostProcess(["/nowhere"], messages: "\(folder.path)/log", interruption: .never)
        }
    }

    @Test func `output that does not come is an error, and the process still ends`() throws {
        let process = try start("sleep 1000")
        #expect(throws: ComparisonError.self) { try process.readLine(within: 0.01) }
        process.kill()
        #expect(process.ending?.status == 137)
    }

    @Test func `what it last said on standard error is kept`() throws {
        let process = try start("echo first >&2; echo last >&2")
        try process.waitForEnd(within: 60)
        #expect(process.lastMessage == "last")
    }
}
