// SPDX-License-Identifier: Apache-2.0

import Glibc
import GuestAgent
import Host
import SystemPackage
import TestSupport
import Testing

/// A guest that attacks the host's side: what it sends is this test's.
@Suite struct HostileAgentTests {
    private func entry(_ mode: UInt32, _ path: String, _ target: String = "") -> AgentMessage {
        let numbers = (0..<4).map { UInt8(truncatingIfNeeded: mode >> (8 * $0)) } + [UInt8](repeating: 0, count: 16)
        return AgentMessage(.entry, numbers + Array(path.utf8) + [0] + Array(target.utf8) + [0])
    }

    /// Lets a guest answer GET with what it likes.
    private func get(_ answers: [AgentMessage], into target: String) throws {
        let pair = try UnixSocketPair()
        try pair.other.borrowed.write(all: answers.flatMap(\.bytes))
        try AgentConnection(pair.one).get("/data", to: FilePath(target), in: "none")
    }

    @Test(arguments: ["..", "../evil", "a/../../evil", "/etc", "a//b", ".", "a/./b", "../\u{338}evil"])
    func `a path that leads out of the folder is refused`(path: String) throws {
        let folder = try TemporaryFolder()
        #expect(throws: AgentError.self) { try get([entry(0o040755, ""), entry(0o100644, path)], into: folder.path) }
        unsafe rmdir("\(folder.path)/data")
        #expect(try FolderListing.names(in: folder.path).isEmpty)
    }

    @Test(arguments: ["link/file", "link/\u{338}file"])
    func `nothing is written through a link that the guest made`(path: String) throws {
        let (folder, elsewhere) = (try TemporaryFolder(), try TemporaryFolder())
        #expect(throws: AgentError.self) {
            try get(
                [entry(0o040755, ""), entry(0o120777, "link", elsewhere.path), entry(0o100644, path)],
                into: folder.path
            )
        }
        #expect(try FolderListing.names(in: elsewhere.path).isEmpty)
        unsafe unlink("\(folder.path)/data/link")
    }

    @Test func `no bit that lends rights comes from a guest`() throws {
        let folder = try TemporaryFolder()
        try get([entry(0o106755, ""), AgentMessage(.data, [1]), AgentMessage(.end)], into: folder.path)
        var status = stat()
        #expect(unsafe stat("\(folder.path)/data", &status) == 0 && status.st_mode & 0o7000 == 0)
    }

    @Test(arguments: [
        [AgentMessage(.data, [1])], [AgentMessage(.hello)], [AgentMessage(.entry, [1])], [AgentMessage(.process)], [],
    ])
    func `answers that are none are an error`(answers: [AgentMessage]) throws {
        let folder = try TemporaryFolder()
        let pair = try UnixSocketPair()
        try pair.other.borrowed.write(all: answers.flatMap(\.bytes))
        shutdown(pair.other.rawValue, CInt(SHUT_WR))
        #expect(throws: AgentError.self) {
            try AgentConnection(pair.one).get("/data", to: FilePath(folder.path), in: "none")
        }
    }

    @Test func `a signal that came before the program started is for the next attempt too`() throws {
        let signals = try ProgramRun.Signals()
        signals.send(SIGTERM)
        let missing = AgentMessage(.failed, [3, 0, 0, 0] + Array("no such container: box\0".utf8))
        let end = AgentMessage(.exit, [15, 0, 0, 0])
        for answers in [[missing], [AgentMessage(.started, [1, 0, 0, 0]), end]] {
            let pair = try UnixSocketPair()
            let run = ProgramRun(AgentConnection(pair.one), input: nil, signals: signals)
            // The signal is on its way before anything is answered.
            let guest = try HostThread("guest") { [other = pair.other.borrowed] in
                var (parser, kinds) = (AgentMessageParser(), [AgentMessage.Kind]())
                while !kinds.contains(.signal), let bytes = try? other.readSome(limit: 4096), !bytes.isEmpty {
                    parser.append(bytes)
                    while let message = try? parser.next() { kinds.append(message.kind) }
                }
                try? other.write(all: answers.flatMap(\.bytes))
            }
            let result = Result { () throws(AgentError) in try run.run(GuestProgram(["sleep"])) }
            guest.join()
            let isMissing = (try? result.get()) == nil
            #expect(isMissing == (answers == [missing]))
        }
    }

    private func process(_ pages: String, command: [UInt8] = []) -> AgentMessage {
        let stat = "1 (\u{338}a) S 0 " + String(repeating: "\(pages) ", count: 30)
        return AgentMessage(.process, [0, 0, 0, 0] + Array(stat.utf8) + [0] + command + [0])
    }

    @Test func `a list of processes has no number that cannot be counted on with`() throws {
        let pair = try UnixSocketPair()
        let answers = [process("9223372036854775807"), process("-1"), process("7"), AgentMessage(.end)]
        try pair.other.borrowed.write(all: answers.flatMap(\.bytes))
        #expect(try AgentConnection(pair.one).processes(in: "none").map(\.residentPages) == [7])
    }

    @Test(arguments: ["1", "none"])
    func `a list of processes that does not end is refused before it takes the memory of the host`(pages: String) throws
    {
        let pair = try UnixSocketPair()
        let message = process(pages, command: [UInt8](repeating: 97, count: 60_000)).bytes
        let guest = try HostThread("guest") { [other = pair.other.borrowed] in
            for _ in 0..<1000 { guard (try? other.write(all: message)) != nil else { return } }
        }
        #expect(throws: AgentError.malformed("it sent an endless list of processes")) {
            try AgentConnection(pair.one).processes(in: "none")
        }
        shutdown(pair.one.descriptor.rawValue, CInt(SHUT_RDWR))
        guest.join()
    }

    @Test func `a program starts once`() throws {
        let pair = try UnixSocketPair()
        let started = AgentMessage(.started, [1, 0, 0, 0])
        try pair.other.borrowed.write(all: (started.bytes + started.bytes))
        let run = ProgramRun(AgentConnection(pair.one), input: nil, signals: try ProgramRun.Signals())
        var count = 0
        #expect(throws: AgentError.malformed("it sent started of a program that it had started")) {
            try run.run(GuestProgram(["true"])) { count += 1 }
        }
        #expect(count == 1)
    }

    @Test(arguments: [[AgentMessage(.output, [65])], [AgentMessage(.exit)], [AgentMessage(.hello)]])
    func `a guest that runs nothing but says so harms nobody`(answers: [AgentMessage]) throws {
        let pair = try UnixSocketPair()
        try pair.other.borrowed.write(all: answers.flatMap(\.bytes))
        shutdown(pair.other.rawValue, CInt(SHUT_WR))
        let run = ProgramRun(
            AgentConnection(pair.one),
            input: nil,
            output: FileDescriptor(rawValue: -1),
            signals: try ProgramRun.Signals()
        )
        #expect(throws: AgentError.self) { try run.run(GuestProgram(["true"])) }
    }
}
