// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing
import TestSupport

@Suite struct HostErrorTests {
    /// Runs `martlet run` and expects status 1 and a message with all of `words` in it.
    private func expectError(_ arguments: [String], says words: String..., from launcher: [String] = []) throws {
        var martlet = Martlet(["run"] + arguments)
        martlet.launcher = launcher
        let result = try martlet.runToEnd()
        #expect(result.termination == .exited(1))
        for word in words { #expect(result.messages.contains(word), "\(result.messages)") }
        #expect(!result.messages.contains("Usage:"))
        #expect(result.output.isEmpty)
    }

    /// The place of cgroups that limit threads.
    private static let threadGroups = "/sys/fs/cgroup/pids"

    @Test(
        .enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"),
        .enabled(if: unsafe access(threadGroups, W_OK) == 0, "needs a pids cgroup (version 1)")
    )
    func `whatever the limit of threads is, a run comes to an end and says why`() throws {
        let group = "\(Self.threadGroups)/martlet-test-\(getpid())"
        try #require(unsafe mkdir(group, 0o755) == 0)
        defer { unsafe rmdir(group) }
        var hasRun = false
        for limit in 2...30 where !hasRun {
            var martlet = Martlet(guest: [.powerOff, .spin])
            let script = "echo \(limit) >\(group)/pids.max; echo $$ >\(group)/cgroup.procs; exec \"$@\""
            martlet.launcher = ["/bin/sh", "-c", script, "sh"]
            let result = try martlet.runToEnd()
            hasRun = result.termination == .exited(0)
            guard !hasRun else { continue }
            #expect(result.termination == .exited(1), "\(limit) threads")
            #expect(result.messages.contains("a limit of the host's is reached"), "\(limit): \(result.messages)")
        }
        #expect(hasRun)
    }

    @Test func `a kernel that is not there is named`() throws {
        try expectError(["/nowhere/vmlinux"], says: "/nowhere/vmlinux", "No such file")
    }

    @Test(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"), arguments: [5, 8, 10, 12, 14, 18, 24, 28])
    func `too few descriptors are told with the limit to raise`(count: Int) throws {
        let folder = try TemporaryFolder()
        let kernel = try folder.write(TinyELF([.powerOff]).bytes, to: "guest")
        let launcher = ["/bin/sh", "-c", "ulimit -n \(count); exec \"$0\" \"$@\""]
        try expectError([kernel], says: "raise the limit of open files (ulimit -n, here: \(count))", from: launcher)
    }

    @Test func `a folder is no kernel`() throws {
        try expectError(["/etc"], says: "/etc", "directory")
    }

    @Test func `an empty file is no kernel`() throws {
        let folder = try TemporaryFolder()
        try expectError([folder.write([], to: "empty")], says: "empty")
    }

    @Test func `a text is no kernel`() throws {
        let folder = try TemporaryFolder()
        try expectError([folder.write(Array("not a kernel\n".utf8), to: "notes.txt")], says: "notes.txt")
    }

    @Test func `a kernel that is cut short is told so`() throws {
        let folder = try TemporaryFolder()
        let whole = TinyELF([.powerOff]).bytes
        try expectError([folder.write(whole.dropLast(3), to: "short")], says: "cut short")
    }

    @Test func `a named pipe that nobody writes is refused and not waited for`() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/pipe"
        try #require(unsafe mkfifo(path, 0o600) == 0)
        try expectError([path], says: "pipe")
    }

    @Test func `a device without an end is no kernel`() throws {
        try expectError(["/dev/zero"], says: "/dev/zero")
    }

    @Test func `an initial RAM disk that is not there is named`() throws {
        let folder = try TemporaryFolder()
        let kernel = try folder.write(TinyELF([.powerOff]).bytes, to: "kernel")
        try expectError([kernel, "--initrd", "/nowhere/rd"], says: "/nowhere/rd", "No such file")
    }

    /// A kernel that powers off at once, with `disk` as its disk.
    private func expectDiskError(_ disk: String, says words: String) throws {
        let folder = try TemporaryFolder()
        let kernel = try folder.write(TinyELF([.powerOff]).bytes, to: "kernel")
        try expectError([kernel, "--disk", disk], says: words)
    }

    @Test func `a disk that is not there is named`() throws {
        try expectDiskError("/nowhere/disk.img", says: "/nowhere/disk.img")
    }

    @Test func `a folder is no disk`() throws {
        try expectDiskError("/etc", says: "/etc")
    }

    @Test func `a terminal or another character device is no disk`() throws {
        try expectDiskError("/dev/zero", says: "/dev/zero")
    }

    @Test func `a named pipe is no disk and is not waited for`() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/pipe"
        try #require(unsafe mkfifo(path, 0o600) == 0)
        try expectDiskError(path, says: "pipe")
    }

    @Test(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
    func `a disk that another machine writes is refused, and free again when that machine has ended`() throws {
        let folder = try TemporaryFolder()
        let disk = try folder.write([UInt8](repeating: 0, count: 4096), to: "disk,img")
        let argument = disk.replacing(",", with: ",,")
        try Martlet(guest: [.write("up"), .forever([])], "--disk", argument).run { first in
            try first.output.read(until: "up")
            for second in [argument, argument + ",readonly"] { try expectDiskError(second, says: "in use") }
        }
        // The kernel ends what a killed process had of io_uring in its own time.
        try Deadline.wait(for: "the disk") {
            try Martlet(guest: [.powerOff], "--disk", argument).runToEnd().termination == .exited(0)
        }
    }

    @Test(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
    func `two machines may read one disk`() throws {
        let folder = try TemporaryFolder()
        let disk = try folder.write([UInt8](repeating: 0, count: 4096), to: "disk.img") + ",readonly"
        try Martlet(guest: [.write("up"), .forever([])], "--disk", disk).run { first in
            try first.output.read(until: "up")
            let result = try Martlet(guest: [.powerOff], "--disk", disk).runToEnd()
            #expect(result.termination == .exited(0))
        }
    }

    @Test func `a console file that cannot be made is named`() throws {
        let folder = try TemporaryFolder()
        let kernel = try folder.write(TinyELF([.powerOff]).bytes, to: "kernel")
        try expectError([kernel, "--console", "file:/nowhere/log"], says: "/nowhere/log")
    }

    /// Indicates whether this process may hide `/dev` from its children.
    static let canHideDevices: Bool = {
        let arguments = ["-m", "mount", "-t", "tmpfs", "none", "/dev"]
        let channels = [ChildProcess.Descriptor](repeating: .null, count: 3)
        let probe = try? ChildProcess("/usr/bin/unshare", arguments, descriptors: channels)
        return (try? probe?.wait()) == .exited(0)
    }()

    @Test(.enabled(if: canHideDevices, "needs the right to mount"))
    func `a host without KVM is told what to do`() throws {
        let folder = try TemporaryFolder()
        let kernel = try folder.write(TinyELF([.powerOff]).bytes, to: "kernel")
        let hide = "mount -t tmpfs none /dev && exec \"$0\" \"$@\""
        try expectError(
            [kernel],
            says: "/dev/kvm",
            "modprobe",
            from: ["/usr/bin/unshare", "-m", "sh", "-c", hide]
        )
    }
}
