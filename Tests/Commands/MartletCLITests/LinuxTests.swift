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
    @Test func `Linux boots to a shell with job control, and poweroff ends martlet with 0`() throws {
        try LinuxShell.boot { shell in
            #expect(try shell.run("uname -sr").hasPrefix("Linux 6.1."))
            #expect(try shell.run("nproc") == "1")
            let memory = try shell.run("grep MemTotal /proc/meminfo").split(separator: " ")
            let kibibytes = try #require(memory.count > 1 ? Int(memory[1]) : nil)
            #expect((100 << 10...128 << 10).contains(kibibytes))
            let seconds = try #require(Int(shell.run("date +%s")))
            #expect(abs(seconds - time(nil)) < 300)
            // An inode for each of them is a larger inode table to read at boot.
            #expect(try shell.run("[ ! -L /bin/ls ] && [ /bin/ls -ef /bin/sh ] && echo hard links") == "hard links")
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
            // Init lowers the kernel's fault-around from 64 KiB to 16 KiB on hosts that interpret the guest's kernel.
            #expect(
                try shell.run("cat /sys/module/memory/parameters/fault_around_bytes")
                    == shell.run("grep -q clearcpuid= /proc/cmdline && echo 16384 || echo 65536")
            )
            try shell.martlet.input.write("poweroff\n")
            #expect(try shell.martlet.end(within: LinuxShell.patience).termination == .exited(0))
        }
    }

    @Test func `two vCPUs run, each with an APIC id of its own, and Ctrl-a x ends martlet with 0`() throws {
        try LinuxShell.boot("--cpus", "2") { shell in
            #expect(try shell.run("grep -c '^processor' /proc/cpuinfo") == "2")
            let ids = try shell.run("grep '^apicid' /proc/cpuinfo | cut -d: -f2 | tr -d '\\n'")
            #expect(ids.filter { $0 != " " } == "01")
            try shell.press("\u{1}x")
            #expect(try shell.martlet.end(within: LinuxShell.patience).termination == .exited(0))
        }
    }

    @Test func `more vCPUs than the host has all run, and reboot ends martlet with 0`() throws {
        try LinuxShell.boot("--cpus", "4", "--memory", "256M") { shell in
            #expect(try shell.run("nproc") == "4")
            let online = try shell.run("cat /sys/devices/system/cpu/online")
            #expect(online == "0-3")
            try shell.martlet.input.write("reboot\n")
            #expect(try shell.martlet.end(within: LinuxShell.patience).termination == .exited(0))
        }
    }

    @Test func `a kernel without a root panics, and martlet ends with 2`() throws {
        let result = try Martlet(["run", GuestImages.path("vmlinux")]).runToEnd(within: LinuxShell.patience)
        #expect(result.text.contains("Kernel panic"))
        #expect(result.termination == .exited(2))
        #expect(result.messages.contains("panicked"))
    }

    @Test(.enabled(if: GuestImages.isThere("bzImage"), "needs guest-images/bzimages.sh"))
    func `a bzImage starts, unpacked on the host`() throws {
        try Martlet(["run", GuestImages.path("bzImage")]).run { martlet in
            martlet.input.closeOutput()
            try martlet.output.read(until: "Linux version 6.1", within: LinuxShell.patience)
            martlet.process.send(SIGTERM)
            #expect(try martlet.termination() == .signaled(SIGTERM))
        }
    }
}
