// SPDX-License-Identifier: Apache-2.0

import Glibc
import HTTP
import Host
import SystemPackage
import TestSupport
import Testing

/// The files that a machine's process opens for requests while its guest runs: those of its own folder, and what commands hand to it.
@Suite(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
struct OpenedFoldersTests {
    private let machines: NamedMachines
    private let folder: TemporaryFolder

    init() throws {
        (machines, folder) = (try NamedMachines(), try TemporaryFolder())
    }

    /// The status of the answer to a request, and its message.
    private func request(_ method: String, _ path: String, _ body: String) throws -> (status: Int, message: String) {
        let client = HTTPClient(connectingTo: FilePath("\(machines.runtime.path)/web/api.sock"))
        let answer = try client.request(method, path, body: Array(body.utf8), timeout: Deadline.standard)
        return (answer.status, String(decoding: answer.body, as: UTF8.self))
    }

    @Test func `requests to a machine with a name name files of its folder, and those that --allow gives`() throws {
        let one = try folder.makeSparseFile("one", byteCount: 1 << 20)
        let other = try folder.makeSparseFile("other", byteCount: 2 << 20)
        let outside = try TemporaryFolder()
        let third = try outside.makeSparseFile("third", byteCount: 2 << 20)
        let orders = [
            ("PATCH", "/drives/disk0", #"{"drive_id": "disk0", "path_on_host": "\#(other)"}"#),
            ("PUT", "/logger", #"{"log_path": "\#(folder.path)/log"}"#),
            ("PUT", "/martlet/snapshot", #"{"path": "\#(folder.path)/snapshot"}"#),
        ]
        #expect(try machines.start("web", [.spin], "--disk", one).termination == .exited(0))
        for (method, path, body) in orders {
            let answer = try request(method, path, body)
            #expect(answer.status == 400 && answer.message.contains("--allow"), "\(path): \(answer)")
        }
        // The same file may have another size.
        let same = try request("PATCH", "/drives/disk0", #"{"drive_id": "disk0", "path_on_host": "\#(one)"}"#)
        #expect(same.status == 204, "\(same)")
        let own = #"{"path": "\#(machines.runtime.path)/web/snapshot"}"#
        #expect(try request("PUT", "/martlet/snapshot", own).status == 204)
        #expect(try machines.run("inspect", "web").text.contains("\(machines.runtime.path)/web\""))
        #expect(try machines.run("kill", "web").termination == .exited(0))
        try machines.run("snapshot", "rm", "\(machines.runtime.path)/web/snapshot")
        try machines.run("rm", "web")
        #expect(try folder.names().sorted() == ["one", "other"])

        #expect(try machines.start("web", [.spin], "--disk", one, "--allow", folder.path).termination == .exited(0))
        for (method, path, body) in orders {
            let answer = try request(method, path, body)
            #expect(answer.status == 204, "\(path): \(answer)")
        }
        unsafe symlink(third, "\(folder.path)/link")
        for path in [third, "\(folder.path)/link", "\(folder.path)/..\(third.dropFirst(4))"] {
            let answer = try request("PATCH", "/drives/disk0", #"{"drive_id": "disk0", "path_on_host": "\#(path)"}"#)
            #expect(answer.status == 400, "\(path): \(answer)")
        }
    }

    @Test func `a command that saves a machine hands its files over, and one that is ended leaves none`() throws {
        _ = try machines.start("web", [.spin], "--memory", "64M", "--user", "1234")
        let snapshot = "\(folder.path)/snapshot"
        #expect(try machines.run("snapshot", "save", "web", snapshot).termination == .exited(0))
        #expect(try machines.run("snapshot", "verify", snapshot).termination == .exited(0))
        let difference = try machines.run("snapshot", "save", "web", "\(folder.path)/diff", "--diff-of", snapshot)
        #expect(difference.termination == .exited(0), "\(difference.messages)")
        let merged = try machines.run("snapshot", "merge", snapshot, "\(folder.path)/diff", "\(folder.path)/merged")
        #expect(merged.termination == .exited(0), "\(merged.messages)")
        #expect(try machines.run("snapshot", "verify", "\(folder.path)/merged").termination == .exited(0))
        var random = SeededGenerator(seed: 16)
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGTERM] {
            try machines.martlet("snapshot", "save", "web", "\(folder.path)/other", "--stop").run { saving in
                usleep(UInt32.random(in: 0...60_000, using: &random))
                saving.process.send(signal)
                _ = try saving.end()
            }
            // The signal came before the end of the save, or after it: the machine is not left paused in either case.
            let state = try machines.states()["web"]
            #expect(state == "running" || state == "ended")
            if state == "ended" { break }
            try machines.run("snapshot", "rm", "\(folder.path)/other")
        }
        #expect(try folder.names().allSatisfy { !$0.contains("partial") })
    }

    @Test func `a machine does not stay paused for a save whose client has gone`() throws {
        #expect(try machines.start("web", [.spin]).termination == .exited(0))
        let monitor = try #require(try machines.processID(of: "web"))
        let names = ["memory", "state"]
        let files = PassedFiles(
            adopting: try names.map { unsafe open(try folder.write([], to: $0), O_RDWR | O_CLOEXEC) }
        )
        let body = #"{"path": "\#(folder.path)/snapshot", "pause": true, "files": ["memory", "state"]}"#
        let text = "PUT /martlet/snapshot HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
        // Its process finds the whole request and the end of the connection at once.
        kill(monitor, SIGSTOP)
        do {
            let client = try UnixSocket.connect(to: FilePath("\(machines.runtime.path)/web/api.sock"))
            #expect(try client.send(Array(text.utf8)[...], with: files.descriptors) == text.utf8.count)
        }
        kill(monitor, SIGCONT)
        try Deadline.wait(for: "the save") { try !folder.read("state").isEmpty }
        // An answer to this comes after the save, and after the pause where there is one.
        let again = #"{"path": "\#(machines.runtime.path)/web/again"}"#
        #expect(try request("PUT", "/martlet/snapshot", again).status == 204)
        try Deadline.wait(for: "the machine to run") { try machines.states()["web"] == "running" }
    }

    @Test func `a socket in a folder of others goes with the machine's own`() throws {
        let socket = "\(folder.path)/vsock"
        #expect(try machines.start("web", [.spin], "--vsock", socket).termination == .exited(0))
        #expect(try folder.names() == ["vsock"])
        #expect(try machines.run("kill", "web").termination == .exited(0))
        #expect(try machines.run("rm", "web").termination == .exited(0))
        #expect(try folder.names().isEmpty)
    }
}
