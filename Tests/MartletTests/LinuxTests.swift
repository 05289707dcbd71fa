// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing
import TestSupport

/// Whole boots: few, because each takes a minute on a host that interprets kernels, and one after the other.
@Suite(
    .serialized,
    .enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"),
    .enabled(if: GuestImages.isExpected, "\(GuestImages.reason)")
)
struct LinuxTests {
    private static let prompt = "martlet:~# "
    private static let patience = Duration.seconds(300)

    /// Boots the default guest on a terminal and gives its shell to `body`.
    private func withShell(_ options: String..., body: (Shell) throws -> Void) throws {
        _ = try GuestImages.path(options.isEmpty ? "vmlinux" : "vmlinux-smp")
        try Martlet(["run"] + options).onTerminal.run { martlet in
            let terminal = try #require(martlet.terminal)
            let before = try terminal.attributes
            try martlet.output.read(until: Self.prompt, within: Self.patience)
            try body(Shell(martlet: martlet))
            #expect(try terminal.attributes == before)
        }
    }

    /// The guest's shell, at its prompt.
    private struct Shell {
        let martlet: RunningMartlet

        /// What `command`, which prints one line, prints.
        func run(_ command: String) throws -> String {
            try martlet.input.write(command + "\n")
            // The shell echoes what it reads.
            try martlet.output.read(until: command + "\r\n", within: patience)
            let output = try martlet.output.read(until: prompt, within: patience)
            return String(output.dropLast(prompt.count).filter { $0 != "\r" && $0 != "\r\n" })
        }

        /// Starts what does not come back to the prompt by itself.
        func start(_ command: String) throws {
            try martlet.input.write(command + "\n")
            try martlet.output.read(until: command + "\r\n", within: patience)
        }

        /// Types a line for the job in the foreground, and waits for what only the job says.
        func answer(_ line: String) throws {
            try martlet.input.write(line + "\n")
            try martlet.output.read(until: "got-" + line + "\r\n", within: patience)
        }

        func press(_ key: String) throws {
            try martlet.input.write(key)
        }

        func awaitPrompt() throws -> String {
            try martlet.output.read(until: prompt, within: patience)
        }
    }

    @Test func `Linux boots to a shell with job control, and poweroff ends martlet with 0`() throws {
        try withShell { shell in
            #expect(try shell.run("uname -sr").hasPrefix("Linux 6.1."))
            #expect(try shell.run("nproc") == "1")
            let memory = try shell.run("grep MemTotal /proc/meminfo").split(separator: " ")
            let kibibytes = try #require(memory.count > 1 ? Int(memory[1]) : nil)
            #expect((100 << 10...128 << 10).contains(kibibytes))
            let seconds = try #require(Int(shell.run("date +%s")))
            #expect(abs(seconds - time(nil)) < 300)
            // A job that answers is in the foreground: keys before that would be the shell's.
            try shell.start("sh -c 'while read x; do echo got-$x; done'")
            try shell.answer("once")
            try shell.press("\u{1a}")
            #expect(try shell.awaitPrompt().contains("Stopped"))
            try shell.start("fg")
            try shell.answer("twice")
            try shell.press("\u{3}")
            _ = try shell.awaitPrompt()
            #expect(try shell.run("echo on") == "on")
            try shell.martlet.input.write("poweroff\n")
            #expect(try shell.martlet.end(within: Self.patience).termination == .exited(0))
        }
    }

    @Test func `two vCPUs run, each with an APIC id of its own, and Ctrl-a x ends martlet with 0`() throws {
        try withShell("--cpus", "2") { shell in
            #expect(try shell.run("grep -c '^processor' /proc/cpuinfo") == "2")
            let ids = try shell.run("grep '^apicid' /proc/cpuinfo | cut -d: -f2 | tr -d '\\n'")
            #expect(ids.filter { $0 != " " } == "01")
            try shell.press("\u{1}x")
            #expect(try shell.martlet.end(within: Self.patience).termination == .exited(0))
        }
    }

    @Test func `more vCPUs than the host has all run, and reboot ends martlet with 0`() throws {
        try withShell("--cpus", "4", "--memory", "256M") { shell in
            #expect(try shell.run("nproc") == "4")
            let online = try shell.run("cat /sys/devices/system/cpu/online")
            #expect(online == "0-3")
            try shell.martlet.input.write("reboot\n")
            #expect(try shell.martlet.end(within: Self.patience).termination == .exited(0))
        }
    }

    @Test func `a kernel without a root panics, and martlet ends with 2`() throws {
        let result = try Martlet(["run", GuestImages.path("vmlinux")]).runToEnd(within: Self.patience)
        #expect(result.text.contains("Kernel panic"))
        #expect(result.termination == .exited(2))
        #expect(result.messages.contains("panicked"))
    }

    @Test(.enabled(if: GuestImages.isThere("bzImage"), "needs guest-images/bzimages.sh"))
    func `a bzImage starts, unpacked on the host`() throws {
        try Martlet(["run", GuestImages.path("bzImage")]).run { martlet in
            martlet.input.closeOutput()
            try martlet.output.read(until: "Linux version 6.1", within: Self.patience)
            martlet.process.send(SIGTERM)
            #expect(try martlet.termination() == .signaled(SIGTERM))
        }
    }
}
