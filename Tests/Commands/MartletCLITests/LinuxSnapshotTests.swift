// SPDX-License-Identifier: Apache-2.0

import Glibc
import TestSupport
import Testing

/// Saved and restored machines with a real Linux in them.
@Suite(
    .serialized,
    .enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"),
    .enabled(if: GuestImages.isExpected, "\(GuestImages.reason)")
)
struct LinuxSnapshotTests {
    private let machines: NamedMachines
    private let folder: TemporaryFolder

    init() throws {
        (machines, folder) = (try NamedMachines(), try TemporaryFolder())
    }

    /// Types a command at the shell of a machine, and reads the lines of its output.
    private func run(_ command: String, on name: String) throws -> [String] {
        // Earlier output is replayed, so each command has a mark of its own. The echo of the command has the quotes.
        let mark = String(UInt32.random(in: .min ... .max), radix: 16)
        return try machines.martlet("attach", name).onTerminal.run { martlet in
            try martlet.input.write("echo be'gin'\(mark); \(command); echo e'nd'\(mark)\n")
            try martlet.output.read(until: "begin\(mark)\r\n", within: LinuxShell.patience)
            let output = try martlet.output.read(until: "end\(mark)\r\n", within: LinuxShell.patience)
            try martlet.input.write("\u{1}d")
            _ = try martlet.end(within: LinuxShell.patience)
            return output.split { $0.isNewline }.map(String.init).dropLast()
        }
    }

    private func succeed(_ arguments: String...) throws {
        let martlet = machines.martlet("").with(arguments: arguments)
        let result = try martlet.run { try $0.end(within: LinuxShell.patience) }
        #expect(result.termination == .exited(0), "\(arguments): \(result.messages)")
    }

    @Test func `two machines of one snapshot have other random numbers, their own names, and the right time`() throws {
        let snapshot = "\(folder.path)/snapshot"
        let start = machines.martlet("run", "--name", "web", "--detach")
        #expect(try start.runToEnd(within: LinuxShell.patience).termination == .exited(0))
        try Deadline.wait(for: "the prompt", within: LinuxShell.patience) {
            try machines.run("logs", "web").text.contains(LinuxShell.prompt)
        }
        #expect(try run("{ sleep 2; echo done > /tmp/note; } & true", on: "web") == [])
        // The guest gets ready, and one that is paused cannot.
        for isPaused in [false, true] {
            if isPaused { try succeed("pause", "web") }
            try succeed("snapshot", "save", "web", snapshot, "--replace")
            if isPaused { try succeed("resume", "web") }
            let names = ["a", "b"].map { "\($0)\(isPaused)" }
            for name in names { try succeed("run", "--restore", snapshot, "--name", name, "--detach") }
            let answers = try (["web"] + names).map { name in
                try run("cat /proc/sys/kernel/random/uuid; hostname; date +%s", on: name)
            }
            try #require(answers.allSatisfy { $0.count == 3 }, "\(answers)")
            #expect(Set(answers.map { $0[0] }).count == 3, "\(answers)")
            #expect(answers.map { $0[1] } == ["martlet"] + names)
            for answer in answers { #expect(abs((Int(answer[2]) ?? 0) - time(nil)) < 60, "\(answer)") }
            // A program that slept when the machine was saved wakes.
            for name in names { #expect(try run("sleep 3; cat /tmp/note", on: name) == ["done"]) }
            try succeed("rm", "--force", names[0], names[1])
        }
        #expect(try run("hostname; cat /tmp/note", on: "web") == ["martlet", "done"])
    }
}
