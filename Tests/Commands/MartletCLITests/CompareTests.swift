// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import TestSupport
import Testing

/// `martlet compare`, as users run it: without a runtime for containers where a test does not need one.
@Suite(
    .serialized,
    .enabled(if: GuestImages.isThere("compare-subject"), "needs guest-images/compare.sh")
)
struct CompareTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func compare(_ words: String...) -> Martlet {
        var martlet = Martlet(["compare"] + words)
        martlet.launcher = ["/usr/bin/env", "TMPDIR=\(folder.path)"]
        return martlet
    }

    /// Nothing of a comparison is on the host: no file, no process, no cgroup.
    private func expectNothingLeft(of process: pid_t, sourceLocation: SourceLocation = #_sourceLocation) throws {
        #expect(try folder.names() == [], sourceLocation: sourceLocation)
        // A process that was killed may not have had its turn yet.
        try Deadline.wait(for: "the end of all processes") {
            try !ProcessListing.commands().contains { $0.contains(folder.path) }
        }
        let groups = try ProcessListing.groups().filter { $0.contains("martlet-compare-\(process)-") }
        #expect(groups == [], sourceLocation: sourceLocation)
    }

    @Test func `without a container runtime the column says why it is empty and the rest runs`() throws {
        let martlet = compare("--only", "startup", "--repeat", "1", "--runtime", "/nowhere/crun")
        let result = try martlet.runToEnd(within: .seconds(1800))
        #expect(result.termination == .exited(0))
        #expect(result.text.contains("No container: /nowhere/crun is not installed: apt-get install crun."))
        #expect(result.text.contains("to the first output"))
        #expect(try folder.names() == [])
    }

    /// The sign that a step has begun, and the signal that ends it.
    static let interruptions: [(step: String, signal: CInt)] = [
        ("process, 2 of", SIGINT), ("container runtime", SIGTERM), ("container, 1 of", SIGINT),
        ("container, 3 of", SIGTERM), ("container, 7 of", SIGHUP), ("virtual machine, 1 of", SIGINT),
    ]

    @Test(.enabled(if: geteuid() == 0, "needs root, for containers with cgroups"), arguments: interruptions)
    func `a signal at any step ends it by that signal and leaves nothing`(step: String, signal: CInt) throws {
        try compare("--only", "startup", "--repeat", "12").run { running in
            try running.messages.read(until: step, within: .seconds(600))
            kill(running.process.id, signal)
            #expect(try running.end(within: Deadline.standard).termination == .signaled(signal))
            try expectNothingLeft(of: running.process.id)
        }
    }

    @Test func `what a killed comparison leaves, the next one removes`() throws {
        var killed: pid_t = 0
        try compare("--only", "startup", "--repeat", "1000").run { running in
            killed = running.process.id
            let step = geteuid() == 0 ? "container, 4 of" : "process, 4 of"
            try running.messages.read(until: step, within: .seconds(600))
            kill(killed, SIGKILL)
            #expect(try running.end(within: Deadline.standard).termination == .signaled(SIGKILL))
        }
        #expect(try folder.names().count == 1)
        #expect(try compare("--only", "size").runToEnd().termination == .exited(0))
        try expectNothingLeft(of: killed)
    }

    @Test func `it goes on when nobody reads its words any more`() throws {
        var martlet = compare("--only", "size,startup", "--repeat", "1", "--runtime", "/nowhere")
        martlet.launcher = ["/bin/sh", "-c", "\"$@\" 2>&1 | head -n 2", "sh"] + martlet.launcher
        #expect(try martlet.runToEnd(within: .seconds(1800)).termination == .exited(0))
        try Deadline.wait(for: "the comparison's end", within: .seconds(600)) { try folder.names().isEmpty }
    }

    @Test func `a comparison of another process that runs is left alone`() throws {
        try compare("--only", "startup", "--repeat", "1000").run { running in
            try running.messages.read(until: "process, 4 of", within: .seconds(600))
            #expect(try compare("--only", "size").runToEnd().termination == .exited(0))
            #expect(try folder.names().count == 1)
            kill(running.process.id, SIGTERM)
            #expect(try running.end(within: Deadline.standard).termination == .signaled(SIGTERM))
        }
        #expect(try folder.names() == [])
    }

    @Test func `JSON goes to standard output, the page into its folder`() throws {
        let page = try TemporaryFolder()
        let result = try compare("--only", "size", "--json", "--report", page.path).runToEnd()
        #expect(result.termination == .exited(0))
        #expect(result.text.hasPrefix("{\n  \"martlet\": "))
        #expect(result.text.contains("\"topic\": \"size\""))
        #expect(String(decoding: try page.read("comparison.json"), as: UTF8.self) == result.text)
        #expect(String(decoding: try page.read("index.html"), as: UTF8.self).hasPrefix("<!DOCTYPE html>"))
    }

    @Test func `a page that cannot be written is told before anything is measured`() throws {
        let result = try compare("--report", "/proc/nowhere").runToEnd()
        #expect(result.termination == .exited(1))
        #expect(result.messages.contains("/proc/nowhere"))
        #expect(!result.messages.contains("[1/"))
    }

    @Test(
        .enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"),
        .enabled(if: GuestImages.isExpected, "\(GuestImages.reason)")
    )
    func `a workload of the user's runs in the machine too`() throws {
        let workload = try GuestImages.path("compare-subject")
        let result = try compare("--only", "startup", "--repeat", "1", "--workload", workload, "--json")
            .runToEnd(within: .seconds(1800))
        #expect(result.termination == .exited(0))
        let row = try #require(result.text.firstRange(of: "\"title\": \"workload: to the end\""))
        let machine = try #require(result.text[row.upperBound...].firstRange(of: "\"machine\": {"))
        #expect(result.text[machine.upperBound...].drop { $0.isWhitespace }.hasPrefix("\"median\": "))
    }

    @Test(
        .enabled(if: HostKVM.isUsable && NetworkNamespace.isUsable, "\(HostKVM.reason); \(NetworkNamespace.reason)"),
        .enabled(if: GuestImages.isExpected, "\(GuestImages.reason)")
    )
    func `a server on the host is reached from a process and from a machine, and no network stays`() throws {
        let running = compare("--only", "network", "--repeat", "1", "--json", "--runtime", "/nowhere")
        let result = try running.runToEnd(within: .seconds(1800))
        #expect(result.termination == .exited(0))
        #expect(result.text.split(separator: "\"median\": ").count == 1 + 4 * 2, "\(result.text)")
        #expect(try folder.names() == [])
        try Deadline.wait(for: "the end of the network's processes") {
            try !ProcessListing.commands().contains { $0.contains(folder.path) }
        }
    }

    @Test(arguments: ["/nowhere/program", "/etc/passwd"])
    func `a workload that cannot run is told before anything starts`(path: String) throws {
        let result = try compare("--workload", path).runToEnd()
        #expect(result.termination == .exited(1))
        #expect(result.messages.contains(path))
        #expect(try folder.names() == [])
    }

    @Test(arguments: [["--only", "colour"], ["--only", ""], ["--repeat", "0"], ["--repeat", "1001"]])
    func `wrong words are wrong usage`(words: [String]) throws {
        #expect(try Martlet(["compare"] + words).runToEnd().termination == .exited(64))
    }
}

/// The processes of this host.
private enum ProcessListing {
    /// The command lines of all processes.
    static func commands() throws -> [String] {
        try FolderListing.names(in: "/proc").filter { Int($0) != nil }.compactMap { name in
            (try? FileContents.read("/proc/\(name)/cmdline")).map { String(decoding: $0, as: UTF8.self) }
        }
    }

    /// The paths of all cgroups, four levels deep.
    static func groups() throws -> [String] {
        var folders = ["/sys/fs/cgroup"]
        var found: [String] = []
        for _ in 0..<4 {
            folders = folders.flatMap { folder in
                ((try? FolderListing.names(in: folder)) ?? []).map { "\(folder)/\($0)" }
            }
            found += folders
        }
        return found
    }
}
