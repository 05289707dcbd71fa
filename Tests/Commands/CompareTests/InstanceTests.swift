// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Compare

@Suite struct InstanceTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func instance(_ kind: EnvironmentKind, _ script: String) throws -> Instance {
        let command = ["/bin/sh", "-c", script]
        let process = try HostProcess(command, messages: "\(folder.path)/log", interruption: .never)
        return Instance(kind: kind, process: process)
    }

    private static let console = """
        printf '\\036i 1000\\n\\036p 2000\\n[    1.500000] input: keyboard\\n\\n'
        printf '[x] mine\\n[1.5 mine\\nhello\\n\\036e 137\\n[   12.104391] reboot: Restarting system\\n'
        """

    @Test func `of a machine's console the program's lines are given, the first process's kept, the kernel's dropped`()
        throws
    {
        let instance = try instance(.machine, Self.console)
        var lines: [String] = []
        while let line = try instance.readLine(within: 60) { lines.append(line.text) }
        #expect(lines == ["[x] mine", "[1.5 mine", "hello"])
        #expect(instance.events.map(\.name) == ["i", "p", "e"])
        #expect(instance.event("p")?.number == 2000)
        #expect(instance.programStatus == 137)
    }

    @Test func `of a process every line is the program's`() throws {
        let instance = try instance(.process, "printf '[    1.5] mine\\n\\n'")
        let lines = [try instance.readLine(within: 60)?.text, try instance.readLine(within: 60)?.text]
        #expect(lines == ["[    1.5] mine", ""])
        try instance.waitForEnd(within: 60)
        #expect(instance.programStatus == 0)
    }

    @Test func `why nothing came is told in the best words there are`() throws {
        let complaint = try instance(.machine, "printf '\\036x cannot mount /data: 22\\n'")
        #expect(throws: ComparisonError.unexpected("cannot mount /data: 22")) {
            try complaint.expectLine("hello", within: 60)
        }
        let message = try instance(.container, "echo no such runtime >&2; exit 1")
        #expect(try message.readLine(within: 60) == nil)
        try message.waitForEnd(within: 60)
        #expect(message.explanation(instead: "a result") == "no such runtime")
        let killed = try instance(.machine, "echo slow here >&2; kill -KILL $$")
        #expect(try killed.readLine(within: 60) == nil)
        try killed.waitForEnd(within: 60)
        #expect(killed.explanation(instead: "a result") == "it was ended by signal 9")
    }

    @Test func `what an instance leaves is removed where it ends without the line that is expected`() throws {
        var count = 0
        let process = try HostProcess(["/bin/sh", "-c", "exit 1"], messages: "/dev/null", interruption: .never)
        let instance = Instance(kind: .container, process: process) { count += 1 }
        #expect(throws: ComparisonError.self) { try instance.expectLine("hello", within: 60) }
        #expect(count == 1)
    }

    @Test func `what an instance leaves is removed once it ends, however it ends`() throws {
        for script in ["exit 0", "sleep 1000"] {
            var count = 0
            let process = try HostProcess(["/bin/sh", "-c", script], messages: "/dev/null", interruption: .never)
            let instance = Instance(kind: .process, process: process) { count += 1 }
            if script == "exit 0" { try instance.waitForEnd(within: 60) } else { instance.end() }
            instance.end()
            #expect(count == 1)
            #expect(process.ending != nil)
        }
    }
}
