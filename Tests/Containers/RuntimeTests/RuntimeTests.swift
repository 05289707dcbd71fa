// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import JSON
import RootImage
import SystemPackage
import TestSupport
import Testing

/// `martlet-runtime` as engines call it, in front of a runtime that only notes what it is told.
@Suite(
    .enabled(
        if: HostProgram.find("mke2fs") != nil && HostKVM.isUsable && GuestImages.isThere("vmlinux"),
        "needs e2fsprogs, /dev/kvm and the guest"
    )
)
struct RuntimeTests {
    static let program: FilePath = {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        _ = unsafe readlink("/proc/self/exe", &buffer, buffer.count - 1)
        return FilePath(platformString: buffer).removingLastComponent().appending("martlet-runtime")
    }()

    let folder: WorkFolder

    init() throws {
        folder = try WorkFolder()
        try folder.write(
            "#!/bin/sh\nprintf '%s\\n' \"$@\" > \(folder.path)/calls\ncp \(folder.path)/process-id \(folder.path)/p 2>/dev/null\nfor word; do case $word in /proc/self/fd/*) cat $word > \(folder.path)/handed;; esac; done\ncase \"$*\" in *kill*) echo 'container not running' >&2; exit 1;; esac\n",
            "runc",
            mode: 0o755
        )
        try folder.makeFolder("bundle")
        try folder.makeFolder("bundle/rootfs")
        try folder.makeFolder("bundle/rootfs/bin")
        try folder.write("program", "bundle/rootfs/bin/sh", mode: 0o755)
        try folder.write("text", "bundle/rootfs/bin/text", mode: 0o644)
    }

    /// Writes a bundle's configuration, of a machine that boots unless `change` says otherwise.
    func configuration(_ change: (JSONValue) -> JSONValue = { $0 }) throws {
        let namespaces: [JSONValue] = ["pid", "ipc", "uts", "mount", "network"].map { ["type": .string($0)] }
        let configuration: JSONValue = [
            "ociVersion": "1.0.2", "hostname": "box", "root": ["path": "rootfs"],
            "annotations": ["martlet.template": "off"],
            "process": [
                "args": ["sh", "-c", "true"], "env": ["PATH=/bin"], "cwd": "/", "user": ["uid": 5, "gid": 6],
            ],
            "mounts": [["destination": "/proc", "type": "proc", "source": "proc"]],
            "linux": [
                "namespaces": .array(namespaces),
                "resources": ["memory": ["limit": 268_435_456], "pids": ["limit": 5]],
            ],
        ]
        try folder.write(change(configuration).text, "bundle/config.json")
    }

    /// Runs the command, and gives its status and what it wrote; `programs` is a folder that comes first in PATH.
    func call(
        _ arguments: String...,
        program: FilePath = Self.program,
        programs: FilePath? = nil
    ) throws -> HostProgram.Ending {
        let path = (programs.map { "\($0):" } ?? "") + (ProcessArguments.environment("PATH") ?? "/usr/bin:/bin")
        let settings = [
            "PATH=\(path)", "MARTLET_OCI_RUNTIME=\(folder.path)/runc", "XDG_CACHE_HOME=\(folder.path)/cache",
            "XDG_RUNTIME_DIR=\(folder.path)",
            "MARTLET_GUEST_IMAGES=\(GuestImages.folder)", program.string,
        ]
        return try HostProgram.run(FilePath("/usr/bin/env"), settings + ["--root", "\(folder.path)/root"] + arguments)
    }

    var calls: [String] {
        let bytes = (try? FileContents.bytes(of: folder.path.appending("calls"), limit: 1 << 16)) ?? []
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// The bundle that runc was given by the last call.
    func bundle() throws -> FilePath {
        try #require(calls.firstIndex(of: "--bundle").map { FilePath(calls[$0 + 1]) })
    }

    func create() throws -> HostProgram.Ending {
        try call(
            "--log",
            "\(folder.path)/log",
            "--log-format",
            "json",
            "create",
            "--bundle",
            "\(folder.path)/bundle",
            "--pid-file",
            "\(folder.path)/p",
            "c1"
        )
    }

    @Test func `create gives runc a container of Martlet without rights, and delete leaves nothing`() throws {
        try configuration()
        let made = try create()
        #expect(made.status == 0 && made.text.isEmpty)
        let bundle = try self.bundle()
        let outer = try JSONValue(parsing: FileContents.bytes(of: bundle.appending("config.json"), limit: 1 << 20))
        #expect(
            outer["process"]["args"].elements.compactMap(\.string) == [
                "/m/bin/martlet", "container", "/c/container.json",
            ]
        )
        #expect(outer["process"]["capabilities"]["bounding"] == [] && outer["process"]["noNewPrivileges"] == true)
        #expect(outer["root"]["readonly"] == true)
        #expect(outer["linux"]["devices"].elements.compactMap { $0["path"].string } == ["/dev/kvm", "/dev/net/tun"])
        #expect(outer["linux"]["resources"]["memory"]["limit"] == .integer((256 + 64) << 20))
        #expect(outer["linux"]["resources"]["pids"]["limit"] == .integer(5 + 64))
        let inner = try JSONValue(parsing: FileContents.bytes(of: bundle.appending("c/container.json"), limit: 1 << 20))
        #expect(inner["memory_mib"] == 256 && inner["config"]["process"]["user"]["uid"] == 5)
        #expect(try call("delete", "--force", "c1").status == 0)
        #expect(unsafe access(bundle.string, F_OK) != 0)
        #expect(try call("delete", "--force", "c1").status == 0)
    }

    @Test(arguments: [
        ("nosuch", "executable file not found in $PATH"), ("/bin/nosuch", "no such file or directory"),
        ("text", "permission denied"), ("/bin", "permission denied"),
    ])
    func `a program that cannot be run fails at create, in the words that engines look for`(name: String, words: String)
        throws
    {
        try configuration { $0.with("process", ["args": [.string(name)], "env": ["PATH=/bin"], "cwd": "/"]) }
        let ending = try create()
        #expect(ending.status == 1 && ending.text.contains(words))
        let log = try JSONValue(parsing: FileContents.bytes(of: folder.path.appending("log"), limit: 1 << 16))
        #expect(log["level"] == "error" && log["msg"].string?.contains(words) == true)
        #expect(calls.isEmpty)
    }

    @Test(arguments: ["pid", "ipc", "network"])
    func `a namespace of the host is refused in words`(type: String) throws {
        try configuration { configuration in
            let others = configuration["linux"]["namespaces"].elements.filter { $0["type"].string != type }
            return configuration.with("linux", configuration["linux"].with("namespaces", .array(others)))
        }
        let ending = try create()
        #expect(ending.status == 1 && ending.text.contains("a machine cannot share the host's") && calls.isEmpty)
    }

    @Test func `the host's network is refused at create also where its namespace is named`() throws {
        try configuration { configuration in
            let namespaces = configuration["linux"]["namespaces"].elements.map { namespace in
                namespace["type"] == "network" ? namespace.with("path", "/proc/self/ns/net") : namespace
            }
            return configuration.with("linux", configuration["linux"].with("namespaces", .array(namespaces)))
        }
        let ending = try create()
        #expect(
            ending.status == 1 && ending.text.contains("a machine cannot share the host's network") && calls.isEmpty
        )
    }

    @Test(arguments: [true, false])
    func `a profile of system calls becomes a filter in the guest, and on the host another one; none stays none`(
        isGiven: Bool
    ) throws {
        try configuration {
            let profile: JSONValue = [
                "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [["names": ["read"], "action": "SCMP_ACT_ALLOW"]],
            ]
            return $0.with("linux", $0["linux"].with("seccomp", isGiven ? profile : nil))
        }
        #expect(try create().status == 0)
        let bundle = try self.bundle()
        let outer = try JSONValue(parsing: FileContents.bytes(of: bundle.appending("config.json"), limit: 1 << 20))
        let profile = outer["linux"]["seccomp"]
        #expect(profile["defaultAction"].string == (isGiven ? "SCMP_ACT_ALLOW" : nil))
        let refused = profile["syscalls"].elements.flatMap { $0["names"].elements.compactMap(\.string) }
        #expect(["mount", "ptrace", "bpf", "unshare"].allSatisfy(refused.contains) == isGiven)
        let inner = try JSONValue(parsing: FileContents.bytes(of: bundle.appending("c/container.json"), limit: 1 << 20))
        #expect(inner["config"]["filter"]["instructions"].elements.isEmpty != isGiven)
        #expect(try call("delete", "--force", "c1").status == 0)
    }

    @Test func `another container of an image has a disk of its own and needs no program to make one`() throws {
        try configuration()
        #expect(try create().status == 0)
        let disk = "\(folder.path)/bundle/martlet-scratch.ext4"
        #expect(unsafe rename(disk, disk + ".first") == 0)
        #expect(try call("delete", "c1").status == 0)
        // The image's file system and an empty disk are in the cache.
        try folder.write("#!/bin/sh\nexit 1\n", "mke2fs", mode: 0o755)
        let ending = try call(
            "create",
            "--bundle",
            "\(folder.path)/bundle",
            "--pid-file",
            "\(folder.path)/p",
            "c2",
            programs: folder.path
        )
        #expect(ending.status == 0 && ending.text.isEmpty)
        var (first, second) = (stat(), stat())
        #expect(unsafe stat(disk + ".first", &first) == 0 && stat(disk, &second) == 0)
        #expect(first.st_ino != second.st_ino && second.st_size == first.st_size && second.st_size > 1 << 32)
        // Sparse: what takes room are bitmaps and superblocks.
        #expect(second.st_blocks * 512 < 8 << 20)
        // The guest has nothing to make on it before it can mount its overlay.
        let listing = try HostProgram.run("/sbin/debugfs", ["-R", "ls", disk]).text
        #expect(listing.contains("upper") && listing.contains("work"))
        #expect(try call("delete", "c2").status == 0)
    }

    @Test func `the sandbox of a pod that shall not be a machine and all other commands go to runc unchanged`() throws {
        try configuration {
            $0.with("annotations", ["io.kubernetes.cri.container-type": "sandbox", "martlet.pod": "off"])
        }
        #expect(try create().status == 0)
        #expect(calls.contains("\(folder.path)/bundle"))
        for command in [
            ["start", "c1"], ["pause", "c1"], ["resume", "c1"], ["ps", "--format", "json", "c1"],
        ] {
            let ending = try HostProgram.run(
                FilePath("/usr/bin/env"),
                ["MARTLET_OCI_RUNTIME=\(folder.path)/runc", "XDG_RUNTIME_DIR=\(folder.path)", Self.program.string]
                    + command
            )
            #expect(ending.status == 0 && calls == command)
        }
        let killed = try call("kill", "--all", "c1", "9")
        #expect(killed.status == 1 && killed.text.contains("container not running"))
    }

    @Test func `exec runs Martlet's own client with the process as it was given`() throws {
        try configuration()
        #expect(try create().status == 0)
        let bundle = try self.bundle()
        try folder.write((["args": ["id"], "cwd": "/", "terminal": false] as JSONValue).text, "process")
        #expect(
            try call("exec", "--process", "\(folder.path)/process", "--detach", "--pid-file", "p", "c1").status == 0
        )
        let process = try JSONValue(
            parsing: FileContents.bytes(of: folder.path.appending("handed"), limit: 1 << 20)
        )
        // Health checks run a program every few seconds, for years: nothing is left of one.
        #expect(try FolderListing.names(in: bundle.string).allSatisfy { !$0.hasPrefix("exec") })
        #expect(
            process["args"].elements.first == "/m/bin/martlet"
                && process["args"].elements.dropFirst().first == "container-exec"
        )
        let given = try JSONValue(parsing: Array((process["args"].elements.last?.string ?? "").utf8))
        #expect(given["args"] == ["id"])
        #expect(try call("delete", "--force", "c1").status == 0)
    }

    @Test(arguments: [
        ["create", "--bundle"], ["create", "--bundle", "/nosuch", "x"], ["checkpoint", "c1"], ["nosuch"],
        ["create", "../x"],
    ])
    func `what cannot be is an error with a message, and status 1`(arguments: [String]) throws {
        let ending = try HostProgram.run(Self.program, arguments)
        #expect(ending.status == 1 && !ending.text.isEmpty)
    }

    @Test func `the features are those of machines, which have no user namespaces of the host`() throws {
        let ending = try HostProgram.run(Self.program, ["features"])
        let features = try JSONValue(parsing: Array(ending.text.utf8))
        let namespaces = features["linux"]["namespaces"].elements.compactMap(\.string)
        #expect(ending.status == 0 && namespaces.contains("pid") && !namespaces.contains("user"))
        #expect(features["ociVersionMax"].string?.hasPrefix("1.") == true)
    }

    @Test func `the version names the specification`() throws {
        let ending = try HostProgram.run(Self.program, ["--version"])
        #expect(
            ending.status == 0 && ending.text.hasPrefix("martlet-runtime version ")
                && ending.text.contains("\nspec: 1.")
        )
    }
}

extension JSONValue {
    /// The value with a member set.
    func with(_ name: String, _ value: JSONValue) -> JSONValue {
        guard case .object(var object) = self else { return self }
        object[name] = value
        return .object(object)
    }
}
