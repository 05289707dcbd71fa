// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import JSON
import SystemPackage
import TestSupport
import Testing

/// `martlet run --image`, whose machine is one as any other.
@Suite(
    .enabled(
        if: HostKVM.isUsable && GuestImages.isThere("container.cpio")
            && ["mke2fs", "busybox"].allSatisfy { HostProgram.find($0) != nil },
        "needs /dev/kvm, the default guest, e2fsprogs and busybox-static"
    )
)
struct RunImageTests {
    private let machines: NamedMachines
    private let folder: TemporaryFolder

    /// A root file system of busybox alone, and a cache of its own.
    init() throws {
        (machines, folder) = (try NamedMachines(), try TemporaryFolder())
        let busybox = try #require(HostProgram.find("busybox"))
        let script =
            "mkdir -p \(folder.path)/tree/bin \(folder.path)/tree/tmp && cp \(busybox) \(folder.path)/tree/bin/busybox && "
            + "for name in sh cat uname sleep stty; do ln -s busybox \(folder.path)/tree/bin/$name; done"
        #expect(try HostProgram.run("/bin/sh", ["-c", script]).status == 0)
    }

    private func image(_ options: String..., command: [String]) -> Martlet {
        var martlet = machines.martlet(["run", "--image", "\(folder.path)/tree"] + options + command)
        martlet.environment["XDG_CACHE_HOME"] = "\(folder.path)/cache"
        return martlet
    }

    private func state(of name: String) throws -> JSONValue {
        try JSONValue(parsing: Array(try machines.run("inspect", name).text.utf8))
    }

    @Test func `--net alone is a network of the machine's own, and the program's words stay as they are`() throws {
        let ended = try image("--net", "--cpus", "0", command: ["sh", "--net"]).runToEnd()
        #expect(ended.termination == .exited(64) && ended.messages.contains("must be 1 to 32"), "\(ended.messages)")
    }

    /// One boot for all of it.
    @Test func `a container with a name is a machine for all commands, and ends as its program does`() throws {
        try folder.write(Array("of the host".utf8), to: "given")
        let program = "trap 'echo over; exit 9' QUIT; cat /etc/given; echo; while :; do sleep 1; done"
        let options = ["-v", "\(folder.path)/given:/etc/given:ro", "--stop-signal", "SIGQUIT", "-e", "A=B"]
        let started = try image("--name", "web", "--detach", command: options + ["sh", "-c", program]).runToEnd()
        try #require(started.termination == .exited(0), "\(started.messages)")
        #expect(started.text == "web\n" && started.messages.contains("was copied"))

        // Waits for the program, not for the guest alone.
        let look = "echo $A; cat /etc/hostname; exit 4"
        let ended = try machines.martlet("exec", "web", "sh", "-c", look).runToEnd(within: LinuxShell.patience)
        #expect(ended.termination == .exited(4) && ended.text == "B\nweb\n", "\(ended.text)\(ended.messages)")
        try Deadline.wait(for: "the program's output") { (try? machines.run("logs", "web").text) == "of the host\n" }
        #expect(try machines.run("top", "web").text.contains("sleep 1"))
        let given = "\(folder.path)/given"
        #expect(try machines.run("cp", given, "web:/tmp/there").termination == .exited(0))
        #expect(try machines.run("exec", "web", "cat", "/tmp/there").text == "of the host")
        // The agent process of each program takes over the memory of an earlier one.
        let other = "echo ${OTHER-none} $(busybox id -u)"
        #expect(try machines.run("exec", "-u", "7", "-e", "OTHER=set", "web", "sh", "-c", other).text == "set 7\n")
        #expect(try machines.run("exec", "web", "sh", "-c", other).text == "none 0\n")
        try echoAtOnce(["one", "two", "three"])
        let inspected = try state(of: "web")
        #expect(inspected["machine"]["program"]["running"] == true)
        #expect(inspected["machine"]["program"]["stop_signal"] == .integer(Int64(SIGQUIT)))
        #expect(inspected["sandbox"]["system_calls"] == (Sandbox.hasFilters ? "filtered" : "not filtered"))
        #expect(try machines.run("ps").text.contains("web"))
        let saved = try machines.run("snapshot", "save", "web", "\(folder.path)/snapshot")
        #expect(saved.termination == .exited(1) && saved.messages.contains("cannot be saved"))

        let stopped = try machines.martlet("stop", "--timeout", "300", "web").runToEnd(within: LinuxShell.patience)
        #expect(stopped.text.contains("stop signal"))
        #expect(try machines.run("wait", "web").termination == .exited(9))
        #expect(try machines.run("logs", "web").text == "of the host\nover\n")
        #expect(try state(of: "web")["result"]["exit_status"] == 9)
    }

    /// Has a program for each word in the container, which all run at the same time.
    private func echoAtOnce(_ words: ArraySlice<String>) throws {
        guard let word = words.first else { return }
        try machines.martlet("exec", "-i", "web", "cat").run { running in
            try running.input.write(word)
            try running.output.read(until: word, within: LinuxShell.patience)
            try echoAtOnce(words.dropFirst())
            running.input.closeOutput()
            #expect(try running.termination() == .exited(0))
        }
    }

    /// One boot for all of it.
    @Test func `a container at a console gets piped input to its end, and the next one goes on from its boot`() throws {
        let program = "cat; echo; cat /etc/resolv.conf; exit 5"
        let options = ["--net", "user,address=10.1.2.3/24,dns=10.1.2.9", "-i", "--rm"]
        let hasNetwork = HostProgram.find("passt") != nil
        let martlet = image(
            "--name",
            "pipe",
            command: (hasNetwork ? options : ["-i", "--rm"]) + ["sh", "-c", program]
        )
        try martlet.run { running in
            try running.input.write("words")
            running.input.closeOutput()
            let ended = try running.end(within: LinuxShell.patience)
            #expect(ended.termination == .exited(5), "\(ended.messages)")
            #expect(ended.text.hasPrefix("words\n"))
            if hasNetwork { #expect(ended.text == "words\nnameserver 10.1.2.9\n") }
        }
        #expect(try machines.states().isEmpty)

        // Another image, so that a disk of another size takes the place of the one that the guest booted with.
        let script = "head -c 3000000 /dev/zero >\(folder.path)/tree/large"
        #expect(try HostProgram.run("/bin/sh", ["-c", script]).status == 0)
        let network = hasNetwork ? ["--net", "user,address=10.1.2.3/24,dns=10.1.2.9"] : []
        let look = "busybox wc -c </large; echo x >/written; cat /written; busybox date +%s; cat; exit 6"
        var following = image("--verbose", command: network + ["-i", "sh", "-c", look])
        following.input = .null
        let next = try following.runToEnd(within: LinuxShell.patience)
        #expect(next.termination == .exited(6), "\(next.messages)")
        #expect(next.messages.contains("restored from a snapshot"), "\(next.messages)")
        let lines = next.text.split(separator: "\n")
        #expect(lines.prefix(2) == ["3000000", "x"])
        let lag = lines.last.flatMap { Int($0) }.map { abs($0 - time(nil)) }
        #expect(try #require(lag) < 300)
    }

    /// One boot for all of it.
    @Test func `a program on a terminal hears how large the window is, also the one of who attaches later`() throws {
        let program = "trap 'stty size' WINCH; stty size; while :; do sleep 0.1; done"
        let started = image("--name", "term", "-t", command: ["sh", "-c", program]).onTerminal
        try started.run { running in
            try running.output.read(until: "25 80", within: LinuxShell.patience)
            try #require(running.terminal).resize(columns: 101, lines: 31)
            try running.output.read(until: "31 101")
            try running.input.write("\u{1}d")
            #expect(try running.termination() == .exited(0))
        }
        try machines.martlet("attach", "term").onTerminal.run { attached in
            // The console replays its earlier output first.
            try attached.output.read(until: "31 101")
            try attached.output.read(until: "25 80")
            try #require(attached.terminal).resize(columns: 102, lines: 32)
            try attached.output.read(until: "32 102")
        }
    }

    @Test
    func `a machine that is killed leaves the status of a killed program, and one without its program that of a shell`()
        throws
    {
        #expect(try image("--name", "one", "-d", command: ["sleep", "1000"]).runToEnd().termination == .exited(0))
        #expect(try machines.run("kill", "one").termination == .exited(0))
        #expect(try machines.run("wait", "one").termination == .exited(137))
        // A machine of this process: its streams and status are the program's.
        let ended = try image(command: ["nosuch"]).runToEnd(within: LinuxShell.patience)
        #expect(ended.termination == .exited(127) && ended.messages.contains("nosuch"))
    }

    @Test(
        arguments: [
            (["-v", "/etc:/etc"], "add :ro"), (["-v", "data:/data:ro"], "write a path, ./data"),
            (["-v", "/etc:etc:ro"], "absolute path"), (["-v", "/etc:/etc:ro,exec"], "unknown volume option 'exec'"),
            (["--stop-signal", "SIGNOTHING"], "not a signal"), (["--vsock", "none"], "reaches a container over vsock"),
            (["--name", "a/b"], "not a machine's name"), (["-t"], "needs a terminal"), (["--cpus", "99"], "--cpus"),
        ] as [([String], String)]
    )
    func `a wish that a machine cannot fulfil is refused in words`(options: [String], words: String) throws {
        let ended = try image(command: options + ["true"]).runToEnd()
        #expect(ended.termination == .exited(64) && ended.messages.contains(words), "\(ended.messages)")
    }
}
