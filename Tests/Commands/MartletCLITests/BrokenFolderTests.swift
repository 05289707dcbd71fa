// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc
import TestSupport
import Testing

/// Every command answers soon, in words, whatever is in a machine's folder.
@Suite final class BrokenFolderTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        unsafe chmod(folder.path, 0o700)
    }

    deinit {
        _ = try? ChildProcess("/bin/rm", ["-rf", folder.path], descriptors: [.null, .null, .null]).wait()
    }

    /// The way to break a folder: a shell command that runs in the folder of a machine that ended with 0.
    struct Kind: CustomTestStringConvertible, Sendable {
        let name: String
        let script: String
        /// Indicates whether `rm` removes it.
        var isRemovable = true
        var state = "ended"

        var testDescription: String { name }
    }

    static let kinds = [
        Kind(name: "whole", script: ":"),
        Kind(name: "empty", script: "rm *", state: "died"),
        Kind(name: "no-lock", script: "rm lock"),
        Kind(name: "lock-pipe", script: "rm lock; mkfifo lock"),
        Kind(name: "lock-link", script: "rm lock; ln -s /dev/zero lock"),
        Kind(name: "lock-loop", script: "rm lock; ln -s lock lock"),
        Kind(name: "lock-folder", script: "rm lock; mkdir lock"),
        Kind(name: "result-pipe", script: "rm result.json; mkfifo result.json", state: "died"),
        Kind(name: "result-link", script: "rm result.json; ln -s /dev/zero result.json", state: "died"),
        Kind(name: "result-folder", script: "rm result.json; mkdir result.json", state: "died"),
        Kind(name: "result-sparse", script: "truncate -s 2G result.json", state: "died"),
        Kind(
            name: "result-device",
            script: "rm result.json; mknod result.json c 1 5 || mkfifo result.json",
            state: "died"
        ),
        Kind(name: "result-deep", script: "yes '[' | head -c 900000 > result.json", state: "died"),
        Kind(
            name: "result-escapes",
            script:
                "printf '{\"outcome\":\"\\\\u001b[2J\",\"exit_status\":3,\"message\":\"\\\\u001b]0;x\\\\u0007\"}' > result.json"
        ),
        Kind(name: "config-pipe", script: "rm config.json; mkfifo config.json"),
        Kind(name: "config-sparse", script: "truncate -s 2G config.json"),
        Kind(name: "config-socket", script: "rm config.json; ln -s api.sock config.json"),
        Kind(name: "log-pipe", script: "rm console.log; mkfifo console.log console.log.1 monitor.log"),
        Kind(name: "log-link", script: "rm console.log; ln -s /dev/zero console.log"),
        Kind(name: "log-folder", script: "rm console.log; mkdir console.log"),
        Kind(name: "log-sparse", script: "truncate -s 2G console.log"),
        Kind(name: "socket-pipe", script: "mkfifo api.sock"),
        Kind(name: "socket-file", script: "echo > api.sock"),
        Kind(name: "full-folder", script: "mkdir mine; echo > mine/file", isRemovable: false),
        Kind(name: "file", script: "cd ..; rm -r file; echo > file", isRemovable: false, state: "broken"),
        Kind(name: "link", script: "cd ..; rm -r link; ln -s /etc link", isRemovable: false, state: "broken"),
        Kind(name: "pipe", script: "cd ..; rm -r pipe; mkfifo pipe", isRemovable: false, state: "broken"),
    ]

    private func run(_ arguments: String...) throws -> Martlet.Result {
        var martlet = Martlet(arguments)
        martlet.environment["MARTLET_RUNTIME_DIR"] = folder.path
        return try martlet.runToEnd()
    }

    @Test func `a folder that is broken in any way hangs no command and reaches no terminal`() throws {
        for kind in Self.kinds {
            let path = "\(folder.path)/\(kind.name)"
            unsafe mkdir(path, 0o700)
            for name in ["lock", "config.json", "console.log"] { try folder.write([], to: "\(kind.name)/\(name)") }
            let result = Array("{\"outcome\":\"powered-off\",\"exit_status\":0}\n".utf8)
            try folder.write(result, to: "\(kind.name)/result.json")
            let shell = try ChildProcess(
                "/bin/sh",
                ["-c", "cd \"$0\" && \(kind.script)", path],
                descriptors: [.null, .null, .null]
            )
            #expect(try shell.wait() == .exited(0), "\(kind.name)")
        }
        let lines = try run("ps", "--all").text.split(separator: "\n").map { $0.split(separator: " ") }
        for kind in Self.kinds {
            let state = lines.first { $0.first == kind.name[...] }.map { String($0[1]) }
            #expect(state == kind.state, "\(kind.name)")
            for command in ["inspect", "wait", "logs", "rm"] {
                let result = try run(command, kind.name)
                let hasEnded = if case .exited(let status) = result.termination { status < 4 } else { false }
                #expect(hasEnded, "\(command) \(kind.name): \(result.termination) \(result.messages)")
                #expect(result.output.count <= 16 << 20, "\(command) \(kind.name)")
                #expect(!result.messages.contains("\u{1b}"), "\(command) \(kind.name)")
                if command == "rm" {
                    #expect((result.termination == .exited(0)) == kind.isRemovable, "\(kind.name): \(result.messages)")
                }
            }
        }
        #expect(try folder.names().sorted() == Self.kinds.filter { !$0.isRemovable }.map(\.name).sorted())
    }
}
