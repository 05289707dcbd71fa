// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import SystemPackage
import TestSupport
import Testing

/// Machines with a user, namespaces and a root of their own, as the host sees their processes.
@Suite(
    .enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"),
    .enabled(if: geteuid() == 0, "needs root, which looks at other users' processes")
)
struct JailedMachineTests {
    private let machines: NamedMachines
    /// The jails' folder, and the machines' own.
    private let folder: TemporaryFolder

    init() throws {
        machines = try NamedMachines()
        folder = try TemporaryFolder()
    }

    /// The namespaces of a process that are not this one's.
    private func ownNamespaces(of process: pid_t) -> Set<String> {
        func name(_ kind: String, _ process: String) -> String {
            var buffer = [CChar](repeating: 0, count: 64)
            let count = unsafe readlink("/proc/\(process)/ns/\(kind)", &buffer, buffer.count)
            return String(decoding: buffer.prefix(max(0, count)).map(UInt8.init(bitPattern:)), as: UTF8.self)
        }
        return Set(
            ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"].filter { name($0, "\(process)") != name($0, "self") }
        )
    }

    private func root(of process: pid_t) throws -> [String] {
        try FolderListing.names(in: "/proc/\(process)/root").sorted()
    }

    @Test func `a machine in a jail has its folder and one more, and namespaces of its own`() throws {
        let started = try machines.start("web", [.echoForever], "--jail", folder.path, "--user", "1234", "--rm")
        #expect(started.termination == .exited(0), "\(started.messages)")
        let process = try #require(try machines.processID(of: "web"))
        #expect(ownNamespaces(of: process) == ["cgroup", "ipc", "mnt", "net", "pid", "uts"])
        #expect(try root(of: process) == ["tmp"])
        let folders = try FolderListing.names(in: "/proc/\(process)/root/tmp").sorted()
        #expect(folders == [folder.path, machines.runtime.path].map { String($0.dropFirst(5)) }.sorted())
        let rights = try #require(ProcessRights(of: process))
        #expect(rights.userID == 1234 && rights.isJailed && (rights.filterCount > 0) == Sandbox.hasFilters)
        #expect(rights.capabilities == "0000000000000000")
        #expect(try machines.run("inspect", "web").text.contains("\"jailed\": true"))
        try machines.martlet("attach", "web").run { attached in
            try attached.input.write("heard")
            try attached.output.read(until: "heard")
            kill(process, SIGTERM)
            _ = try attached.termination()
        }
        // Nothing is left, here or there; the machine's folder goes with the next command.
        try Deadline.wait(for: "the end of the machine") { try machines.states().isEmpty }
        #expect(try machines.files().isEmpty)
        #expect(try folder.names().isEmpty)
        let mounts = try FileContents.text(of: "/proc/self/mounts", limit: 1 << 20)
        #expect(!mounts.contains(folder.path))
    }

    /// Indicates whether another user can run the program under test.
    private static var isReachable: Bool {
        var path = ""
        return Martlet.program.split(separator: "/").allSatisfy { name in
            path += "/\(name)"
            var status = stat()
            return unsafe stat(path, &status) == 0 && status.st_mode & 0o001 != 0
        }
    }

    @Test(.enabled(if: isReachable, "other users cannot run the program"))
    func `a user's machine has the same in a user namespace`() throws {
        let kernel = try folder.write(TinyELF([.echoForever]).bytes, to: "kernel")
        unsafe chmod(kernel, 0o644)
        unsafe chmod(folder.path, 0o755)
        unsafe chown(machines.runtime.path, 4242, 4242)
        defer { unsafe chown(machines.runtime.path, 0, 0) }
        let node = "\(folder.path)/kvm"
        // KVM's number: 10, 232.
        #expect(unsafe mknod(node, S_IFCHR | 0o666, 10 << 8 | 232) == 0 && chmod(node, 0o666) == 0)
        func run(_ arguments: String...) throws -> Martlet.Result {
            var martlet = machines.martlet(arguments)
            let script = "mount --bind \(node) /dev/kvm && exec setpriv --reuid 4242 --regid 4242 --clear-groups \"$@\""
            martlet.launcher = ["/usr/bin/unshare", "-m", "/bin/sh", "-c", script, "sh"]
            return try martlet.runToEnd()
        }
        let started = try run("run", kernel, "--jail", folder.path, "--name", "job", "--detach")
        #expect(started.termination == .exited(0), "\(started.messages)")
        let line = try run("ps").text.split(separator: "\n").last
        let process = try #require(line?.split(separator: " ").last.flatMap { pid_t($0) })
        #expect(ownNamespaces(of: process) == ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"])
        #expect(try root(of: process) == ["tmp"])
        let rights = try #require(ProcessRights(of: process))
        #expect(rights.userID == 4242 && rights.capabilities == "0000000000000000" && rights.isJailed)
        // A machine without a jail gets clones with one.
        #expect(try run("run", kernel, "--name", "free", "--detach").termination == .exited(0))
        let cloned = try run("clone", "free", "copy", "--jail", folder.path)
        #expect(cloned.termination == .exited(0), "\(cloned.messages)")
        let copy = try #require(
            run("ps").text.split(separator: "\n").first { $0.hasPrefix("copy ") }?.split(separator: " ").last.flatMap {
                pid_t($0)
            }
        )
        #expect(ownNamespaces(of: copy) == ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"])
        for name in ["free", "copy"] {
            #expect(try run("kill", name).termination == .exited(0))
            #expect(try run("rm", "--force", name).termination == .exited(0))
        }
        #expect(try run("kill", "job").termination == .exited(0))
        #expect(try run("wait", "job").termination == .exited(0))
        #expect(try run("rm", "job").termination == .exited(0))
        #expect(try folder.names().sorted() == ["kernel", "kvm"])
    }

    @Test func `a machine with a name becomes the user that root names`() throws {
        let started = try machines.start("web", [.echoForever], "--user", "1234:5")
        #expect(started.termination == .exited(0), "\(started.messages)")
        let process = try #require(try machines.processID(of: "web"))
        let rights = try #require(ProcessRights(of: process))
        #expect(rights.userID == 1234 && rights.groupID == 5 && !rights.isJailed)
        #expect(ownNamespaces(of: process).isEmpty)
        #expect(try machines.run("kill", "web").termination == .exited(0))
        #expect(try machines.run("rm", "web").termination == .exited(0))
        #expect(try machines.files().isEmpty)
        unsafe chmod(folder.path, 0o700)
        var hidden = machines.guest([.echoForever], "--name", "web", "--detach", "--user", "1234")
        hidden.environment["MARTLET_RUNTIME_DIR"] = "\(folder.path)/runtime"
        let refused = try hidden.runToEnd()
        #expect(refused.termination == .exited(1))
        #expect(
            refused.messages.contains(
                "cannot come to the machine's folder, for want of a right to enter \(folder.path):"
            )
        )
        #expect(try FolderListing.names(in: "\(folder.path)/runtime").isEmpty)
    }

    @Test func `a jail that cannot be is refused before anything starts`() throws {
        for (options, words) in [
            (["--jail", "/nowhere"], "/nowhere is not a folder"), (["--jail", "/"], "the whole host"),
            (["--jail", folder.path], "as root needs --user"),
            (["--jail", folder.path, "--user", "1", "--sandbox", "off"], "leave out --sandbox off"),
        ] {
            let refused = try machines.start("web", [.spin], options)
            #expect(refused.termination == .exited(64) && refused.messages.contains(words), "\(refused.messages)")
        }
        for (arguments, words) in [
            (["run", "--image", "oci:a", "--jail", folder.path, "sh"], "start the machine as that one"),
            (["clone", "a", "b", "--jail", folder.path], "clone the machine as that one"),
            (["api", "--jail", folder.path], "--jail is for `martlet run`"),
        ] {
            let refused = try machines.martlet(arguments).runToEnd()
            #expect(refused.termination == .exited(64) && refused.messages.contains(words), "\(refused.messages)")
        }
        #expect(try machines.files().isEmpty)
    }
}
