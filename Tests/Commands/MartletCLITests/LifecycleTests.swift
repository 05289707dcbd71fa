// SPDX-License-Identifier: Apache-2.0

import Glibc
import Storage
import TestSupport
import Testing

@Suite(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
struct LifecycleTests {
    private let machines: NamedMachines

    init() throws {
        machines = try NamedMachines()
    }

    // MARK: - Life and end

    @Test func `a machine outlives its command, is listed, and leaves nothing when it is removed`() throws {
        let started = try machines.start("web", [.echoForever])
        #expect(started.termination == .exited(0))
        #expect(started.text == "web\n")
        #expect(try machines.states() == ["web": "running"])
        let json = try machines.run("ps", "--json").text
        #expect(json.contains("\"name\": \"web\""))
        #expect(try machines.run("kill", "web").termination == .exited(0))
        #expect(try machines.run("ps").text.contains("web") == false)
        #expect(try machines.states() == ["web": "ended"])
        #expect(try machines.run("rm", "web").termination == .exited(0))
        #expect(try machines.files().isEmpty)
    }

    @Test func `a detached machine keeps no descriptor of its caller's`() throws {
        let theirs = try machines.runtime.write([], to: "theirs")
        var martlet = machines.guest([.spin], "--name", "web", "--detach")
        martlet.launcher = ["/bin/sh", "-c", "exec 5<\(theirs) 9<\(theirs) && exec \"$@\"", "sh"]
        #expect(try martlet.runToEnd().termination == .exited(0))
        let process = try #require(try machines.processID(of: "web"))
        let folder = "/proc/\(process)/fd"
        let links = try FolderListing.names(in: folder).map { name in
            var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
            let count = unsafe readlink("\(folder)/\(name)", &buffer, buffer.count)
            return String(decoding: buffer.prefix(max(0, count)).map(UInt8.init(bitPattern:)), as: UTF8.self)
        }
        // The machine's own files and events, and devices: nothing else.
        let own = ["/dev/null", "/dev/kvm", "/dev/urandom", "\(machines.runtime.path)/web", "socket:", "anon_inode:"]
        #expect(links.allSatisfy { link in own.contains { link.hasPrefix($0) } }, "\(links)")
    }

    @Test func `a machine without a name gets one`() throws {
        let name = try machines.guest([.echoForever], "--detach").runToEnd().text.dropLast()
        #expect(try machines.states() == [String(name): "running"])
    }

    @Test func `the exit status of the guest is that of wait, during its life and after`() throws {
        _ = try machines.start("job", [.echo(byteCount: 2), .exit(42), .spin], "--exit-status-port")
        try machines.martlet("wait", "job").run { waiting in
            try machines.martlet("attach", "job").run { attached in
                try attached.input.write("go")
                #expect(try attached.termination() == .exited(42))
            }
            #expect(try waiting.termination() == .exited(42))
        }
        #expect(try machines.run("wait", "job").termination == .exited(42))
        #expect(try machines.run("inspect", "job").text.contains("\"exit_status\": 42"))
    }

    @Test func `a guest that does not react to stop is ended when its time is over, and that is said`() throws {
        _ = try machines.start("deaf", [.spin])
        let result = try machines.run("stop", "--timeout", "1", "deaf")
        #expect(result.termination == .exited(0))
        #expect(result.text.contains("did not shut down within 1 s and was ended"))
        #expect(try machines.states() == ["deaf": "ended"])
    }

    @Test func `a paused machine says so, sends nothing, and goes on when it is resumed`() throws {
        _ = try machines.start("web", [.echoForever])
        #expect(try machines.run("pause", "web").termination == .exited(0))
        #expect(try machines.states() == ["web": "paused"])
        try machines.martlet("attach", "web").run { attached in
            try attached.input.write("held")
            #expect(try machines.run("resume", "web").termination == .exited(0))
            try attached.output.read(until: "held")
        }
        #expect(try machines.states() == ["web": "running"])
    }

    @Test func `a machine whose process was killed confuses nobody`() throws {
        _ = try machines.start("web", [.write("last words"), .echoForever])
        let process = try #require(try machines.processID(of: "web"))
        kill(process, SIGKILL)
        try Deadline.wait(for: "the end of the process") { try machines.states() == ["web": "died"] }
        #expect(try machines.runtime.names().contains("web"))
        for command in ["attach", "stop", "kill", "pause", "stats"] {
            let result = try machines.run(command, "web")
            #expect(result.termination == .exited(1))
            #expect(result.messages.contains("has ended"))
        }
        #expect(try machines.run("wait", "web").messages.contains("died"))
        #expect(unsafe access(machines.runtime.path + "/web/api.sock", F_OK) != 0)
        let again = try machines.start("web", [.spin])
        #expect(again.messages.contains("which has ended: `martlet rm web` removes it"))
        #expect(try machines.run("rm", "web").termination == .exited(0))
        #expect(try machines.start("web", [.spin]).termination == .exited(0))
    }

    @Test func `a machine that cannot start leaves nothing`() throws {
        let result = try machines.run("run", "/nowhere/kernel", "--name", "web", "--detach")
        #expect(result.termination == .exited(1))
        #expect(result.messages.contains("/nowhere/kernel"))
        #expect(try machines.files().isEmpty)
    }

    @Test func `rm goes on after a machine that it cannot remove`() throws {
        _ = try machines.start("web", [.spin])
        _ = try machines.start("job", [.powerOff, .spin])
        #expect(try machines.run("wait", "job").termination == .exited(0))
        let result = try machines.run("rm", "web", "gone", "job")
        #expect(result.termination == .exited(1))
        #expect(result.messages.contains("'web' runs"))
        #expect(result.messages.contains("there is no machine 'gone'"))
        #expect(try machines.states() == ["web": "running"])
    }

    @Test func `a name that runs is not given twice, and rm wants force for it`() throws {
        _ = try machines.start("web", [.spin])
        #expect(try machines.start("web", [.spin]).messages.contains("there is a machine 'web' already"))
        #expect(try machines.run("rm", "web").messages.contains("runs"))
        #expect(try machines.run("rm", "--force", "web").termination == .exited(0))
        #expect(try machines.files().isEmpty)
    }

    @Test(arguments: ["../web", ".web", "", "a/b", String(repeating: "x", count: 65)])
    func `a name that could lead out of its folder is none`(name: String) throws {
        let result = try machines.guest([.spin], "--detach", "--name", name).runToEnd()
        #expect(result.termination == .exited(64))
        #expect(try machines.files().isEmpty)
    }

    @Test func `a folder that others may write is refused`() throws {
        unsafe chmod(machines.runtime.path, 0o777)
        #expect(try machines.run("ps").messages.contains("not a folder of yours alone"))
        unsafe chmod(machines.runtime.path, 0o700)
    }

    @Test func `what a command that was killed left on its way is removed`() throws {
        // No process has this number: they end at 4194304.
        for name in [".new-999999999-1", ".old-999999999-2"] {
            unsafe mkdir(machines.runtime.path + "/" + name, 0o700)
            _ = try machines.runtime.write([], to: name + "/lock")
        }
        #expect(try machines.run("rm", "--all").termination == .exited(0))
        #expect(try machines.files().isEmpty)
    }

    // MARK: - The console

    @Test func `leaving and coming back loses no byte`() throws {
        _ = try machines.start("web", [.echoForever])
        for round in 0..<3 {
            try machines.martlet("attach", "web").onTerminal.run { attached in
                try attached.messages.read(until: "attached to web")
                try attached.input.write("round \(round).")
                try attached.output.read(until: (0...round).map { "round \($0)." }.joined())
                try attached.input.write("\u{1}d")
                #expect(try attached.termination() == .exited(0))
            }
        }
        let log = try machines.run("logs", "web").text
        #expect(log == "round 0.round 1.round 2.")
    }

    @Test func `a foreground machine with a name is left by a key, and its terminal is as before`() throws {
        try machines.guest([.write("ready"), .echoForever], "--name", "web").onTerminal.run { martlet in
            let before = try #require(martlet.terminal).firstAttributes
            try martlet.output.read(until: "ready")
            try martlet.input.write("\u{1}d")
            let result = try martlet.end()
            #expect(result.termination == .exited(0))
            #expect(result.messages.contains("left web running"))
            #expect(try #require(martlet.terminal).attributes == before)
        }
        #expect(try machines.states() == ["web": "running"])
    }

    @Test func `a foreground machine with a name gives its status, and nothing stays with --rm`() throws {
        let result = try machines.guest(
            [.write("bye"), .exit(7), .spin],
            "--name",
            "job",
            "--rm",
            "--exit-status-port"
        ).runToEnd()
        #expect(result.text == "bye")
        #expect(result.termination == .exited(7))
        #expect(try machines.files().isEmpty)
    }

    @Test func `several watch and the first one types`() throws {
        _ = try machines.start("web", [.echoForever])
        try machines.martlet("attach", "web").run { first in
            try first.input.write("a")
            try first.output.read(until: "a")
            try machines.martlet("attach", "web").run { second in
                try second.output.read(until: "a")
                try second.input.write("not heard")
                try first.input.write("b")
                try second.output.read(until: "b")
                try first.output.read(until: "b")
                #expect(!first.output.text.contains("not heard"))
            }
        }
    }

    @Test func `a terminal that vanishes leaves the machine running and the keyboard free`() throws {
        _ = try machines.start("web", [.echoForever])
        try machines.martlet("attach", "web").onTerminal.run { attached in
            try attached.input.write("x")
            try attached.output.read(until: "x")
            try #require(attached.terminal).hangUp()
            _ = try attached.process.wait()
        }
        try Deadline.wait(for: "the keyboard", within: .seconds(300)) {
            try machines.martlet("attach", "web").run { attached in
                try attached.input.write("y")
                return (try? attached.output.read(until: "y", within: .seconds(15))) != nil
            }
        }
    }

    @Test func `logs follow a machine to its end`() throws {
        _ = try machines.start("web", [.write("first "), .echo(byteCount: 2), .write("last"), .powerOff, .spin])
        try machines.martlet("logs", "--follow", "web").run { logs in
            try logs.output.read(until: "first ")
            try machines.martlet("attach", "web").run { attached in
                try attached.input.write("go")
                try attached.output.read(until: "go")
            }
            try logs.output.read(until: "last")
            #expect(try logs.termination() == .exited(0))
        }
        #expect(try machines.run("logs", "web").text == "first golast")
    }

    // MARK: - Configuration files and sockets

    @Test func `a file describes the machine, and a socket is served where it is wanted`() throws {
        let kernel = try machines.runtime.write(TinyELF([.write("here"), .echoForever]).bytes, to: "kernel")
        let text =
            "{\"boot-source\": {\"kernel_image_path\": \"\(kernel)\"}, \"machine-config\": "
            + "{\"vcpu_count\": 2, \"mem_size_mib\": 32}}"
        let file = try machines.runtime.write(Array(text.utf8), to: "machine.json")
        let socket = machines.runtime.path + "/api"
        try machines.martlet("run", "--config", file, "--api-socket", socket).run { martlet in
            try martlet.output.read(until: "here")
            try Deadline.wait(for: "the socket") { unsafe access(socket, F_OK) == 0 }
            martlet.process.send(SIGTERM)
            #expect(try martlet.termination() == .exited(0))
        }
        #expect(unsafe access(socket, F_OK) != 0)
    }
}
