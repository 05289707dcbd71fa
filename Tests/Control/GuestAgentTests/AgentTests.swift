// SPDX-License-Identifier: Apache-2.0

import Glibc
import GuestAgent
import Host
import SystemPackage
import TestSupport
import Testing

/// The guest's agent and the host's side of it, over a pair of sockets: programs run on this host.
@Suite(.enabled(if: HostedAgent.isThere, "needs the guest's agent: run make guest-images-all"))
struct AgentTests {
    private func program(_ arguments: String...) -> GuestProgram {
        var program = GuestProgram(arguments)
        program.environment = ["PATH=/usr/bin:/bin"]
        return program
    }

    @Test func `a program's output, errors and status come back apart`() throws {
        let ending = try HostedAgent().run(program("sh", "-c", "echo out; echo err >&2; exit 3"))
        #expect(ending == .init(status: .exited(3), output: "out\n", errorOutput: "err\n"))
    }

    @Test func `the start of a short program is told with its end, in one piece, where the host may wait`() throws {
        try HostedAgent.with { agent in
            var (bytes, program, parser) = ([UInt8](), program("true"), AgentMessageParser())
            program.mayTellStartLate = true
            try program.send { bytes += $0.bytes }
            try agent.socketDescriptor.write(all: bytes)
            parser.append(try agent.socketDescriptor.readSome(limit: 4096))
            #expect(try parser.next()?.kind == .started)
            #expect(try parser.next()?.kind == .exit)
        }
    }

    @Test func `standard input reaches the program up to its end, also more of it than a pipe holds`() throws {
        let input = [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 20)
        let ending = try HostedAgent().run(program("wc", "-c"), input: input)
        #expect(ending.output == "1048576\n")
    }

    @Test func `standard input that comes in one piece with the program's description reaches it`() throws {
        try HostedAgent.with { agent in
            var bytes: [UInt8] = []
            try program("cat").send { bytes += $0.bytes }
            bytes += AgentMessage(.input, Array("words".utf8)).bytes + AgentMessage(.inputEnd, []).bytes
            try agent.socketDescriptor.write(all: bytes)
            var output: [UInt8] = []
            while let answer = try agent.receive() {
                if answer.kind == .output { output += answer.payload }
            }
            #expect(output == Array("words".utf8))
        }
    }

    @Test func `a program that reads nothing can still be signalled`() throws {
        let input = [UInt8](repeating: 0, count: 1 << 20)
        let ending = try HostedAgent().run(program("sleep", "1000"), input: input, signals: [SIGTERM])
        #expect(ending.status == .killed(signal: UInt8(SIGTERM)))
        #expect(ending.status.exitStatus == 143)
    }

    @Test func `much output arrives whole`() throws {
        let ending = try HostedAgent().run(program("head", "-c", "1000000", "/dev/zero"))
        #expect(ending.output.utf8.count == 1_000_000)
    }

    /// The agent stands while the program fills its pipe, and finds both its end and more than a frame of output.
    @Test func `what an ended program left in its pipe arrives whole`() throws {
        let script = "kill -STOP $PPID; head -c 60000 /dev/zero; (sleep 0.2; kill -CONT $PPID) &"
        #expect(try HostedAgent().run(program("sh", "-c", script)).output.utf8.count == 60_000)
    }

    @Test(arguments: [("nosuch", 127), ("/etc", 126), ("/etc/passwd", 126)] as [(String, UInt8)])
    func `a program that cannot be run fails as in a shell`(name: String, status: UInt8) throws {
        let agent = try HostedAgent()
        let error = #expect(throws: AgentError.self) { try agent.run(program(name)) }
        #expect(error?.exitStatus == status)
        #expect(error?.description.hasPrefix("cannot run \(name): ") == true)
    }

    @Test func `environment, folder and limits are the program's`() throws {
        var program = program("sh", "-c", "echo $A; pwd; ulimit -n")
        program.environment += ["A=B"]
        program.folder = "/usr"
        program.limits = [GuestProgram.Limit(resource: UInt32(RLIMIT_NOFILE.rawValue), soft: 99, hard: 100)]
        #expect(try HostedAgent().run(program).output == "B\n/usr\n99\n")
    }

    @Test func `a terminal has the size that it was given, and is the controlling one`() throws {
        var program = program("sh", "-c", "stty size; test -t 0 && : </dev/tty && echo yes")
        program.hasTerminal = true
        program.size = Terminal.Size(rows: 40, columns: 100)
        #expect(try HostedAgent().run(program).output == "40 100\r\nyes\r\n")
    }

    @Test(.enabled(if: geteuid() == 0, "needs root"))
    func `user, groups, umask and capabilities are set`() throws {
        var program = program("sh", "-c", "id -u; id -g; id -G; umask; grep CapEff /proc/self/status")
        var user = GuestProgram.User()
        (user.id, user.group, user.otherGroups, user.umask) = (1000, 1001, [7, 8], 0o27)
        program.user = user
        var sets = GuestProgram.Capabilities()
        (sets.bounding, sets.permitted, sets.effective, sets.inheritable, sets.ambient) = (1, 1, 1, 1, 1)
        program.capabilities = sets
        let lines = try HostedAgent().run(program).output.split(separator: "\n")
        #expect(lines == ["1000", "1001", "1001 7 8", "0027", "CapEff:\t0000000000000001"])
    }

    @Test func `the program dies with the connection`() throws {
        let folder = try TemporaryFolder()
        let pair = try UnixSocketPair()
        let file = "\(folder.path)/id"
        var launch = ProcessLaunch(FilePath(try GuestImages.path("agent")))
        launch.descriptors = [nil, .standardOutput, .standardError, pair.other.borrowed]
        let agent = try launch.start()
        let connection = AgentConnection(pair.one)
        try program("sh", "-c", "echo $$ >\(file).new; mv \(file).new \(file); sleep 1000").send {
            message throws(AgentError) in try connection.send(message)
        }
        try Deadline.wait(for: "the program to start") { unsafe access(file, F_OK) == 0 }
        let text = String(decoding: try FileContents.bytes(of: FilePath(file), limit: 100), as: UTF8.self)
        let program = try RunningProcess(id: try #require(CInt(text.dropLast())))
        connection.close()
        #expect(agent.waitUntilEnded(timeout: Deadline.standard))
        #expect(program.waitUntilEnded(timeout: Deadline.standard))
        _ = agent.takeStatus()
    }

    @Test func `folders are copied there and back with links and modes`() throws {
        let folder = try TemporaryFolder()
        try folder.write([1, 2, 3], to: "file")
        unsafe chmod("\(folder.path)/file", 0o640)
        unsafe mkdir("\(folder.path)/folder", 0o755)
        try folder.write([UInt8](repeating: 5, count: 100_000), to: "folder/large")
        unsafe symlink("../file", "\(folder.path)/folder/link")
        let (there, back) = (try TemporaryFolder(), try TemporaryFolder())
        try HostedAgent.with { try $0.put(FilePath("\(folder.path)/folder"), at: there.path, in: "none") }
        try HostedAgent.with { try $0.put(FilePath("\(folder.path)/file"), at: "\(there.path)/renamed", in: "none") }
        try HostedAgent.with { try $0.get("\(there.path)/folder", to: FilePath(back.path), in: "none") }
        try HostedAgent.with { try $0.get("\(there.path)/renamed", to: FilePath("\(back.path)/again"), in: "none") }
        #expect(try FileContents.bytes(of: FilePath("\(back.path)/folder/large"), limit: 1 << 20).count == 100_000)
        #expect(try FileContents.bytes(of: FilePath("\(back.path)/again"), limit: 100) == [1, 2, 3])
        var status = stat()
        #expect(unsafe stat("\(back.path)/again", &status) == 0 && status.st_mode & 0o777 == 0o640)
        #expect(unsafe lstat("\(back.path)/folder/link", &status) == 0 && status.st_mode & S_IFMT == S_IFLNK)
        for path in ["\(folder.path)/folder", "\(there.path)/folder", "\(back.path)/folder"] {
            for name in try FolderListing.names(in: path) { unsafe remove("\(path)/\(name)") }
        }
    }

    @Test func `the list of processes has this one`() throws {
        let entries = try HostedAgent.with { try $0.processes(in: "none") }
        let own = try #require(entries.first { $0.id == Int(getpid()) })
        #expect(own.user == geteuid() && own.parent == Int(getppid()) && own.residentPages > 0)
    }

    @Test func `the end of a disk's use is told, and so is a disk that is not there`() throws {
        let folder = try TemporaryFolder()
        let file = try folder.write([1], to: "disk")
        try HostedAgent.with { agent in
            try agent.awaitEndOfUse(of: [file, file], areEmpty: false)
            #expect(try agent.hasAnswered())
        }
        try HostedAgent.with { try $0.setUp([]) }
        let error = #expect(throws: AgentError.self) {
            try HostedAgent.with { agent in
                try agent.awaitEndOfUse(of: [file, "/nosuch/disk"], areEmpty: false)
                _ = try agent.hasAnswered()
            }
        }
        #expect(error == .failed(.noSuchFileOrDirectory, "cannot open /nosuch/disk"))
    }

    @Test(arguments: [[1, 2, 0, 0], [0, 0, 0, 0], [4, 0, 0, 0]] as [[UInt8]])
    func `another version is refused in words`(version: [UInt8]) throws {
        let agent = try HostedAgent()
        try agent.connection.send(AgentMessage(.hello, version))
        let answer = try agent.connection.receive()
        #expect(answer?.kind == .failed)
    }

    @Test(
        arguments: [
            [255, 255, 255, 255, 255, 255, 255, 255], [1, 0, 0, 0, 1, 0, 1, 0], [3, 0, 0, 0, 1, 0, 0, 0, 65],
            [1, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 65],
            [1, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0],
        ] as [[UInt8]]
    )
    func `what is no message ends the connection with an error, not the agent by a crash`(bytes: [UInt8]) throws {
        let agent = try HostedAgent()
        try agent.connection.socketDescriptor.write(all: bytes)
        #expect(try agent.connection.receive()?.kind == .failed)
        var status: CInt = 0
        #expect(agent.process.waitUntilEnded(timeout: Deadline.standard))
        #expect(unsafe waitpid(agent.process.id, &status, 0) == agent.process.id && status & 0x7f == 0)
    }
}
