// SPDX-License-Identifier: Apache-2.0

import Glibc
import JSON
import TestSupport
import Testing

/// A guest that orders work without end, and a user who wants something else meanwhile.
///
/// Each command answers within 3 seconds on a quiet host; the dead-lines here are ten times that.
@Suite(.serialized, .enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
struct HostileGuestTests {
    private static let patience = Duration.seconds(30)
    static let loads = HostileGuest.Load.allCases.flatMap { load in ["io_uring", "threads"].map { (load, $0) } }

    private let folder: TemporaryFolder
    private let machines: NamedMachines

    init() throws {
        folder = try TemporaryFolder()
        machines = try NamedMachines()
    }

    private func options(_ engine: String) throws -> [String] {
        let disk = try folder.makeSparseFile("disk", byteCount: 8 << 30)
        return ["--memory", "256M", "--no-entropy", "--disk", "\(disk),readonly,engine=\(engine)"]
    }

    /// Runs a command that must succeed soon.
    ///
    /// On a busy host a command may give the machine up after its own two seconds, which says nothing of the guest.
    @discardableResult
    private func run(_ arguments: String...) throws -> String {
        let deadline = Deadline(after: Self.patience)
        var result = try machines.martlet(arguments).runToEnd(within: Self.patience)
        while result.messages.contains("did not answer in time"), !deadline.hasPassed {
            result = try machines.martlet(arguments).runToEnd(within: Self.patience)
        }
        #expect(result.termination == .exited(0), "\(arguments): \(result.messages)")
        return result.text
    }

    @Test(arguments: loads)
    func `it holds up no command`(load: HostileGuest.Load, engine: String) throws {
        for end in ["stop", "kill"] {
            #expect(try machines.start("m", HostileGuest.code(load), try options(engine)).termination == .exited(0))
            try Deadline.wait(for: "the load") {
                let stats = try JSONValue(parsing: Array(run("stats", "m", "--json").utf8))
                guard case .array(let drives) = stats["drives"] else { return false }
                return drives.first?[load == .reads ? "reads" : "failures"].integerValue ?? 0 > 0
            }
            for _ in 0..<3 {
                try run("stats", "m")
                try run("pause", "m")
                try run("stats", "m")
                try run("resume", "m")
            }
            if end == "stop" { try run("stop", "m", "--timeout", "1") } else { try run("kill", "m") }
            #expect(try machines.states() == ["m": "ended"])
            try run("rm", "m")
        }
    }

    @Test(arguments: loads)
    func `it does not hold up the signal that ends its process`(load: HostileGuest.Load, engine: String) throws {
        try Martlet(image: TinyELF(HostileGuest.code(load)), options(engine)).run { martlet in
            try martlet.output.read(until: "go")
            martlet.process.send(SIGTERM)
            #expect(try martlet.end(within: Self.patience).termination == .signaled(SIGTERM))
        }
    }
}
