// SPDX-License-Identifier: Apache-2.0

import Glibc
import TestSupport
import Testing

/// A named machine with a real Linux in it.
@Suite(
    .serialized,
    .enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"),
    .enabled(if: GuestImages.isExpected, "\(GuestImages.reason)")
)
struct LinuxLifecycleTests {
    private let machines: NamedMachines

    init() throws {
        machines = try NamedMachines()
    }

    @Test func `a Linux that writes to its disk is paused and resumed again and again, left, and shut down`() throws {
        let disk = try machines.runtime.makeSparseFile("data", byteCount: 8 << 20)
        let start = machines.martlet("run", "--name", "web", "--disk", "default", "--disk", disk).onTerminal
        try start.run { martlet in
            try martlet.output.read(until: LinuxShell.prompt, within: LinuxShell.patience)
            let shell = LinuxShell(martlet: martlet)
            _ = try shell.run("w(){ dd of=/dev/vdb bs=512 seek=$1 conv=fsync status=none;}")
            _ = try shell.run("i=0; while :; do i=$((i+1)); echo $i | w 9; done &")
            for _ in 0..<10 {
                try Deadline.wait(for: "writes", within: LinuxShell.patience) {
                    let before = try FileContents.read(disk)[4608..<4620]
                    return try machines.run("stats", "web").termination == .exited(0)
                        && FileContents.read(disk)[4608..<4620] != before
                }
                #expect(try machines.run("pause", "web").termination == .exited(0))
                let (bytes, stats) = try (FileContents.read(disk), machines.run("stats", "--json", "web").text)
                // Nothing comes late: what was in flight was waited for.
                #expect(try counters(machines.run("stats", "--json", "web").text) == counters(stats))
                #expect(try FileContents.read(disk) == bytes)
                #expect(try machines.run("resume", "web").termination == .exited(0))
            }
            // The shell says with the next prompt that the job has ended: not with a later one.
            _ = try shell.run("kill %1; wait")
            _ = try shell.run("echo kept > /root/note")
            try martlet.input.write("\u{1}d")
            #expect(try martlet.end(within: LinuxShell.patience).termination == .exited(0))
        }
        let attached = machines.martlet("attach", "web").onTerminal
        try attached.run { martlet in
            try martlet.output.read(until: "kill %1", within: LinuxShell.patience)
            #expect(try LinuxShell(martlet: martlet).run("cat /root/note") == "kept")
            let stopped = try machines.martlet("stop", "web", "--timeout", "300").run {
                try $0.end(within: LinuxShell.patience)
            }
            #expect(stopped.text.contains("web shut down after Ctrl-Alt-Del"))
            #expect(try martlet.termination() == .exited(0))
        }
        #expect(try machines.run("logs", "web").text.contains("reboot: Restarting system"))
        #expect(try machines.run("inspect", "web").text.contains("\"outcome\": \"reset\""))
    }

    /// The counters that change with each exit and each request, and not with touched memory.
    private func counters(_ stats: String) -> String {
        stats.split(separator: "\"memory\"", maxSplits: 1).first.map(String.init) ?? stats
    }
}
