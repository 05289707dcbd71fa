// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import Storage
import SystemPackage
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
        let own = [
            "/dev/null", "/dev/kvm", "/dev/urandom", "/proc/\(process)/", "\(machines.runtime.path)/web", "socket:",
            "anon_inode:",
        ]
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
        let text = try machines.runtime.write(Array("no kernel".utf8), to: "text")
        defer { unsafe unlink(text) }
        #expect(try machines.run("run", text, "--name", "web", "--detach").termination == .exited(1))
        #expect(try machines.files() == ["text"])
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
        #expect(try machines.run("ps").messages.contains("not private to you"))
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

    @Test func `a machine with --rm goes at its end, although its command has left it`() throws {
        try machines.guest([.write("ready"), .echo(byteCount: 1), .powerOff, .spin], "--name", "web", "--rm").onTerminal
            .run {
                martlet in
                try martlet.output.read(until: "ready")
                try martlet.input.write("\u{1}d")
                #expect(try martlet.end().termination == .exited(0))
            }
        #expect(try machines.states() == ["web": "running"])
        try machines.martlet("attach", "web").run { attached in
            try attached.input.write("x")
            #expect(try attached.termination() == .exited(0))
        }
        try Deadline.wait(for: "the folder's end") { try machines.files().isEmpty }
    }

    @Test func `a detached machine with --rm goes at its end, and its status is that of wait`() throws {
        _ = try machines.start("job", [.echo(byteCount: 1), .exit(42), .spin], "--exit-status-port", "--rm")
        try machines.martlet("wait", "job").run { waiting in
            // Attached only to type: the end is what wait sees.
            try machines.martlet("attach", "job").run { attached in
                try attached.input.write("x")
                #expect(try attached.termination() == .exited(42))
            }
            let result = try waiting.end()
            // One that came too late has not found the machine.
            #expect(result.termination == .exited(42) || result.messages.contains("no machine"))
        }
        try Deadline.wait(for: "the folder's end") { try machines.files().isEmpty }
    }

    @Test func `a machine with --rm whose process was killed is removed by the next look`() throws {
        _ = try machines.start("web", [.spin], "--rm")
        kill(try #require(try machines.processID(of: "web")), SIGKILL)
        try Deadline.wait(for: "the folder's end") {
            _ = try machines.run("ps")
            return try machines.files().isEmpty
        }
    }

    @Test func `a frozen monitor holds no command up, and is ended`() throws {
        _ = try machines.start("web", [.spin])
        _ = try machines.start("other", [.spin])
        let process = try #require(try machines.processID(of: "web"))
        kill(process, SIGSTOP)
        #expect(try machines.states() == ["other": "running", "web": "unreachable"])
        #expect(try machines.run("inspect", "web").text.contains("\"state\": \"unreachable\""))
        let folder = machines.runtime.path
        for command in [
            ["pause", "web"], ["attach", "web"], ["clone", "web", "copy"],
            ["snapshot", "save", "web", folder + "/save"],
        ] {
            let result = try machines.martlet("").with(arguments: command).runToEnd()
            #expect(result.termination == .exited(1))
            #expect(result.messages.contains("'web' cannot be reached"), "\(result.messages)")
        }
        let result = try machines.run("stop", "--timeout", "1", "web")
        #expect(result.termination == .exited(0), "\(result.messages)")
        #expect(result.text.contains("was ended"))
        #expect(try machines.run("wait", "web").messages.contains("died"))
        #expect(try machines.states() == ["other": "running", "web": "died"])
    }

    @Test func `a stranger's process that holds a machine's lock and socket survives`() throws {
        unsafe mkdir(machines.runtime.path + "/web", 0o700)
        let file = unsafe open(try machines.runtime.write([], to: "web/lock"), O_RDWR | O_CLOEXEC)
        defer { close(file) }
        var lock = flock(l_type: Int16(F_WRLCK), l_whence: Int16(SEEK_SET), l_start: 0, l_len: 1, l_pid: 0)
        let setOpenFileLock: CInt = 37
        #expect(unsafe fcntl(file, setOpenFileLock, &lock) == 0)
        // This process listens, and answers nothing.
        let socket = try UnixSocket.listen(at: FilePath(machines.runtime.path + "/web/api.sock"))
        for command in [["kill", "web"], ["rm", "--force", "web"], ["stop", "--timeout", "0", "web"]] {
            let result = try machines.martlet(command[0], command[1]).with(arguments: command).runToEnd()
            #expect(result.termination == .exited(1))
            #expect(result.messages.contains("cannot be proven"), "\(result.messages)")
        }
        #expect(try machines.run("wait", "web").messages.contains("another process holds its lock"))
        #expect(try machines.states() == ["web": "unreachable"])
        withExtendedLifetime(socket) {}
        unsafe unlink(machines.runtime.path + "/web/api.sock")
        unsafe unlink(machines.runtime.path + "/web/lock")
        unsafe rmdir(machines.runtime.path + "/web")
    }

    @Test(arguments: [["ps"], ["doctor"], ["inspect", "web"], ["--version"]])
    func `a command that cannot give its answer does not end with 0`(arguments: [String]) throws {
        _ = try machines.start("web", [.spin])
        for output in [Martlet.Channel.file("/dev/full", flags: O_WRONLY), .closed] {
            let result = try machines.martlet("").with(arguments: arguments).with(output: output).runToEnd()
            #expect(result.termination == .exited(1))
            #expect(result.messages.contains("cannot write standard output"), "\(result.messages)")
        }
    }

    @Test func `a machine whose name cannot be printed runs, and that is said`() throws {
        let full = Martlet.Channel.file("/dev/full", flags: O_WRONLY)
        let result = try machines.guest([.spin], "--name", "web", "--detach").with(output: full).runToEnd()
        #expect(result.termination == .exited(1))
        #expect(result.messages.contains("the machine runs as 'web'"))
        #expect(try machines.states() == ["web": "running"])
    }

    @Test func `a disk in use is said to be by which machine`() throws {
        let disk = try machines.runtime.write([UInt8](repeating: 0, count: 4096), to: "disk.img")
        _ = try machines.start("web", [.spin], "--disk", disk)
        let result = try machines.start("other", [.spin], "--disk", disk)
        #expect(result.messages.contains("is in use by machine 'web'"), "\(result.messages)")
    }

    @Test(.enabled(if: HostErrorTests.canHideDevices, "needs the right to mount"))
    func `a full runtime folder takes neither a machine's status nor its last words`() throws {
        let kernel = TinyELF([.write("first "), .echo(byteCount: 2), .write(" last"), .exit(42), .spin])
        let image = try machines.runtime.write(kernel.bytes, to: "kernel")
        let script = """
            set -e
            mkdir "$2/full" && mount -t tmpfs -o size=512k,mode=700 none "$2/full" && cd "$2/full"
            export MARTLET_RUNTIME_DIR="$2/full"
            "$0" run "$1" --name job --detach --exit-status-port
            cat /dev/zero > fill 2>/dev/null || true
            printf go | "$0" attach job > ../said || echo "attach $?"
            "$0" wait job || echo "wait $?"
            "$0" logs job
            """
        var martlet = machines.martlet("run").with(arguments: [])
        martlet.launcher = ["/usr/bin/unshare", "-m", "/bin/sh", "-c", script]
        martlet.arguments = [image, machines.runtime.path]
        let result = try martlet.runToEnd()
        unsafe rmdir(machines.runtime.path + "/full")
        #expect(result.text == "job\nattach 42\nwait 42\nfirst go last", "\(result.messages)")
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
            #expect(try martlet.termination() == .signaled(SIGTERM))
        }
        #expect(unsafe access(socket, F_OK) != 0)
    }
}
