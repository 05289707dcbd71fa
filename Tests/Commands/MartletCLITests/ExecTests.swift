// SPDX-License-Identifier: Apache-2.0

import Glibc
import GuestAgent
import Host
import SystemPackage
import TestSupport
import Testing

/// Programs in a running machine, and files to and from it, by the guest's agent.
@Suite(.enabled(if: HostKVM.isUsable && GuestImages.isExpected, "\(HostKVM.reason)"))
struct ExecTests {
    /// One boot for all of it.
    @Test func `programs run in a machine with a name, files go there and back, and its processes are listed`() throws {
        let machines = try NamedMachines()
        #expect(try machines.martlet("run", "--name", "box", "--detach").runToEnd().termination == .exited(0))
        func exec(_ arguments: String...) throws -> Martlet.Result {
            try machines.martlet(["exec", "box"] + arguments).runToEnd(within: LinuxShell.patience)
        }
        // Waits for the boot.
        let first = try exec("sh", "-c", "echo out; echo err >&2; exit 3")
        #expect(first.termination == .exited(3) && first.text == "out\n")
        #expect(first.messages.contains("err"))
        #expect(try exec("nosuch").termination == .exited(127))
        #expect(try exec("/etc").termination == .exited(126))
        #expect(try exec("sh", "-c", "kill -9 $$").termination == .exited(137))

        // One process of the agent serves one program after the other, which find nothing of each other.
        let report = """
            echo $PPID; umask; ulimit -n; pwd; echo "[$LEFT]"; ls /proc/self/fd | tr '\\n' ' '
            grep -e SigB -e SigI -e SigC -e Cap -e NoNewPrivs -e Groups /proc/self/status; cat /proc/self/oom_score_adj
            """
        func state() throws -> (agent: Substring?, program: [Substring]) {
            let lines = try exec("sh", "-c", report).text.split(separator: "\n")
            return (lines.first, Array(lines.dropFirst()))
        }
        let before = try state()
        // A connection may come when the process is not yet ready for another one.
        #expect(try (0..<5).contains { _ in try state().agent == state().agent })
        let disorder = """
            umask 077; ulimit -n 50; cd /tmp; export LEFT=1; trap '' USR1 PIPE; echo 500 >/proc/self/oom_score_adj
            sleep 1000 & exit 4
            """
        #expect(try exec("sh", "-c", disorder).termination == .exited(4))
        #expect(try state().program == before.program)
        // One that gave up capabilities for a program leaves the next one to another process.
        var confined = GuestProgram(["grep", "CapBnd", "/proc/self/status"])
        (confined.environment, confined.capabilities) = (["PATH=/bin"], GuestProgram.Capabilities())
        #expect(try machines.run(confined, in: "box") == "CapBnd:\t0000000000000000\n")
        #expect(try machines.run(confined, in: "box") == "CapBnd:\t0000000000000000\n")
        #expect(try state().program == before.program)

        let folder = try TemporaryFolder()
        let file = try folder.write(Array("from the host".utf8), to: "file")
        #expect(try machines.run("cp", file, "box:/tmp/there").termination == .exited(0))
        #expect(try exec("cat", "/tmp/there").text == "from the host")
        #expect(try machines.run("cp", "box:/tmp/there", "\(folder.path)/back").termination == .exited(0))
        #expect(try FileContents.bytes(of: FilePath("\(folder.path)/back"), limit: 100) == Array("from the host".utf8))
        let top = try machines.run("top", "box")
        #expect(top.termination == .exited(0) && top.text.contains("/sbin/init"))
    }
}

extension NamedMachines {
    /// Runs a program by the agent itself, and reads what it writes.
    fileprivate func run(_ program: GuestProgram, in name: String) throws -> String {
        let pipe = try Pipe()
        defer { close(pipe.readEnd) }
        do {
            defer { close(pipe.writeEnd) }
            let connection = try AgentConnection(to: FilePath("\(runtime.path)/\(name)/vsock.sock"))
            let output = FileDescriptor(rawValue: pipe.writeEnd), signals = try ProgramRun.Signals()
            let run = ProgramRun(connection, input: nil, output: output, errorOutput: output, signals: signals)
            #expect(try run.run(program) == .exited(0))
        }
        return String(decoding: try FileDescriptor(rawValue: pipe.readEnd).readSome(limit: 4096), as: UTF8.self)
    }
}
