// SPDX-License-Identifier: Apache-2.0

import Glibc
import TestSupport
import Testing

/// Saved machines from the point of view of a user.
@Suite(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
struct SnapshotTests {
    private let machines: NamedMachines
    private let folder: TemporaryFolder

    init() throws {
        (machines, folder) = (try NamedMachines(), try TemporaryFolder())
    }

    private var snapshot: String { "\(folder.path)/snapshot" }

    /// Answers each byte with itself, three times, and ends with status 7.
    private static let answering: [GuestCode] = [.write("ready\n"), .echo(byteCount: 3), .exit(7), .spin]

    /// Starts a guest that answers, and saves it when it is ready.
    private func save(_ options: String...) throws {
        #expect(try machines.start("web", Self.answering, "--exit-status-port").termination == .exited(0))
        try Deadline.wait(for: "the guest") { try machines.run("logs", "web").text == "ready\n" }
        let martlet = machines.martlet("snapshot", "save", "web", snapshot)
        let result = try martlet.with(arguments: martlet.arguments + options).runToEnd()
        #expect(result.termination == .exited(0), "\(result.messages)")
    }

    /// Types for a machine at its console, until it ends.
    private func talk(to name: String, _ text: String) throws {
        try machines.martlet("attach", name).run { running in
            try running.input.write(text)
            let result = try running.end()
            #expect(result.termination == .exited(7), "\(result.messages)")
            // The guest's output from before the save comes first, where this process saved it.
            #expect(result.text.hasSuffix(text))
        }
    }

    @Test func `a saved machine goes on here, and with names, as often as one likes`() throws {
        try save("--stop")
        try machines.martlet("run", "--restore", snapshot).run { running in
            try running.input.write("abc")
            let result = try running.end()
            #expect(result.text == "abc")
            #expect(result.termination == .exited(7))
        }
        let one = try machines.run("run", "--restore", snapshot, "--name", "one", "--detach")
        #expect(one.text == "one\n", "\(one.messages)")
        let several = try machines.run("run", "--restore", snapshot, "--name", "w", "--detach", "--count", "3")
        #expect(several.text == "w-1\nw-2\nw-3\n", "\(several.messages)")
        for name in ["one", "w-1", "w-2", "w-3"] { try talk(to: name, "xyz") }
        let waiting = try machines.run("run", "--restore", snapshot, "--name", "p", "--detach", "--paused")
        #expect(waiting.text == "p\n", "\(waiting.messages)")
        #expect(try machines.states()["p"] == "paused")
        try machines.run("resume", "p")
        try talk(to: "p", "123")
    }

    @Test func `a machine in the background has nothing to do with what its command inherited`() throws {
        try save("--stop")
        var command = machines.martlet("run", "--restore", snapshot, "--name", "one", "--detach")
        let inheriting = "for number in {6..40}; do eval \"exec $number</dev/null\"; done; exec \"$@\""
        command.launcher = ["/bin/bash", "-c", inheriting, "bash"]
        let result = try command.runToEnd()
        #expect(result.text == "one\n", "\(result.messages)")
        try talk(to: "one", "xyz")
    }

    /// Whichever part of the start comes too late: the socket, a thread, a device.
    @Test func `a start in the background that lacks descriptors says so, and leaves no machine`() throws {
        try save("--stop")
        for count in stride(from: 8, to: 32, by: 2) {
            var command = machines.martlet("run", "--restore", snapshot, "--name", "one", "--detach")
            command.launcher = ["/bin/sh", "-c", "ulimit -n \(count); exec \"$0\" \"$@\""]
            let result = try command.runToEnd()
            #expect(result.termination == .exited(1))
            #expect(result.messages.contains("Too many open files"), "\(count): \(result.messages)")
            #expect(try machines.states()["one"] == nil, "\(count)")
        }
    }

    @Test func `what is no snapshot leaves no machine of that name`() throws {
        let result = try machines.run("run", "--restore", "/dev/null", "--name", "none", "--detach")
        #expect(result.termination == .exited(1))
        #expect(result.messages.contains("is not a snapshot"), "\(result.messages)")
        #expect(try machines.states()["none"] == nil)
    }

    @Test func `clones go on from a machine that goes on as well, and leave no file`() throws {
        try save()
        let before = try names(in: "/var/tmp")
        let clones = try machines.run("clone", "web", "c", "--count", "2")
        #expect(clones.text == "c-1\nc-2\n", "\(clones.messages)")
        #expect(try names(in: "/var/tmp").subtracting(before).filter { $0.hasPrefix("martlet-clone") }.isEmpty)
        for name in ["c-2", "web", "c-1"] { try talk(to: name, name) }
        let none = try machines.run("clone", "web", "d")
        #expect(none.termination == .exited(1))
        #expect(none.messages.contains("has ended"))
    }

    private func names(in path: String) throws -> Set<String> {
        guard let stream = unsafe opendir(path) else { return [] }
        defer { unsafe closedir(stream) }
        var names: Set<String> = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            names.insert(name)
        }
        return names
    }

    @Test func `a disk that was not copied has to be named, and is the machine's then`() throws {
        let disk = try folder.makeSparseFile("disk", byteCount: 1 << 20)
        let start = try machines.start("web", [.spin], "--disk", disk)
        #expect(start.termination == .exited(0), "\(start.messages)")
        #expect(
            try machines.run("snapshot", "save", "web", snapshot, "--disks", "none", "--stop").termination == .exited(0)
        )
        let refused = try machines.run("run", "--restore", snapshot)
        #expect(refused.termination == .exited(1))
        #expect(refused.messages.contains("--disk \(disk),drive=disk0"), "\(refused.messages)")
        let named = try machines.run("run", "--restore", snapshot, "--disk", "\(disk),drive=disk0", "-d", "--name", "n")
        #expect(named.text == "n\n", "\(named.messages)")
        #expect(try machines.run("inspect", "n").text.contains("\"path_on_host\": \"\(disk)\""))
        #expect(
            try machines.run("run", "--restore", snapshot, "--disk", "\(disk),drive=disk0").messages.contains("in use")
        )
    }

    @Test func `a machine whose memory file is cut short ends with a line and status 1`() throws {
        try save("--stop")
        try machines.martlet("run", "--restore", snapshot).run { running in
            try running.input.write("a")
            try running.output.read(until: "a")
            #expect(unsafe truncate("\(snapshot)/memory", 0) == 0)
            // The vCPU may have touched its memory, and ended the machine, before this.
            try? running.input.write("b")
            let end = try running.end()
            #expect(end.termination == .exited(1), "\(end.messages)")
            #expect(end.messages.split(separator: "\n").last?.contains("\(snapshot)/memory") == true, "\(end.messages)")
        }
    }

    @Test func `a save whose process is killed leaves the old snapshot, the new one, or nothing`() throws {
        var random = SeededGenerator(seed: 13)
        var (oldCount, newCount, noneCount) = (0, 0, 0)
        for round in 0..<12 {
            _ = try machines.start("k", [.spin], "--memory", "64M")
            let process = try #require(try machines.processID(of: "k"))
            let hasOld = round % 2 == 1
            if hasOld {
                #expect(try machines.run("snapshot", "save", "k", snapshot, "--replace").termination == .exited(0))
            } else {
                _ = try? machines.run("snapshot", "rm", snapshot)
            }
            let id = try? FileContents.read("\(snapshot)/state").prefix(200)
            try machines.martlet("snapshot", "save", "k", snapshot, "--replace").run { saving in
                usleep(UInt32.random(in: 0...60_000, using: &random))
                kill(process, SIGKILL)
                _ = try saving.end()
            }
            if try folder.names().contains("snapshot") {
                #expect(try machines.run("snapshot", "verify", snapshot).termination == .exited(0))
                let isOld = try FileContents.read("\(snapshot)/state").prefix(200) == id
                (oldCount, newCount) = (oldCount + (isOld ? 1 : 0), newCount + (isOld ? 0 : 1))
            } else {
                #expect(!hasOld)
                noneCount += 1
            }
            try machines.run("rm", "--force", "k")
        }
        #expect(oldCount + newCount + noneCount == 12)
        // The next save removes what is left.
        _ = try machines.start("k", [.spin])
        #expect(try machines.run("snapshot", "save", "k", snapshot, "--replace").termination == .exited(0))
        #expect(try folder.names() == ["snapshot"])
    }

    @Test func `verify tells of a disk that is missing, and no answer is lost in silence`() throws {
        let disk = try folder.makeSparseFile("disk", byteCount: 1 << 20)
        #expect(try machines.start("web", [.spin], "--disk", disk).termination == .exited(0))
        #expect(try machines.run("snapshot", "save", "web", snapshot).termination == .exited(0))
        #expect(try machines.run("snapshot", "verify", snapshot).termination == .exited(0))
        let full = Martlet.Channel.file("/dev/full", flags: O_WRONLY)
        let inspected = try machines.martlet("snapshot", "inspect", snapshot).with(output: full).runToEnd()
        #expect(inspected.termination == .exited(1))
        #expect(inspected.messages.contains("cannot write standard output"))
        let copy = "\(snapshot)/disks/disk0"
        #expect(unsafe truncate(copy, 1 << 19) == 0)
        #expect(try machines.run("snapshot", "verify", snapshot).messages.contains("524288 bytes instead of 1048576"))
        unsafe unlink(copy)
        let missing = try machines.run("snapshot", "verify", snapshot)
        #expect(missing.termination == .exited(1))
        #expect(missing.messages.contains("disks/disk0: the file is missing"), "\(missing.messages)")
    }

    @Test(arguments: [
        (["--paused"], "need --restore"), (["--restore", "x", "--paused"], "--paused needs --name"),
        (["--restore", "x", "--count", "2"], "add --detach"), (["--restore", "x", "--cpus", "2"], "cannot be chosen"),
        (["--restore", "x", "--disk", "y"], "PATH,drive=ID"),
        (["--restore", "x", "--disk", "y,drive=a,readonly"], "PATH,drive=ID"), (["--disk", "y,drive=a"], "--restore"),
        (["--restore", "x", "-d", "--count", "2", "--same-identity"], "Only one machine"),
    ])
    func `options that do not fit a saved machine are refused`(options: [String], words: String) throws {
        let result = try Martlet(["run"] + options).runToEnd()
        #expect(result.termination == .exited(64))
        #expect(result.messages.contains(words), "\(result.messages)")
    }
}
