// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import RootImage
import SystemPackage
import TestSupport
import Testing

/// Containers of podman that are machines.
@Suite(
    .enabled(
        if: geteuid() == 0 && HostKVM.isUsable && GuestImages.isThere("container.cpio")
            && ["podman", "runc", "mke2fs", "busybox"].allSatisfy { HostProgram.find($0) != nil },
        "needs root, podman, runc, e2fsprogs, busybox-static and /dev/kvm"
    )
)
struct PodmanTests {
    private let folder: WorkFolder

    /// An image of busybox alone, in a store of its own.
    init() throws {
        folder = try WorkFolder()
        // Containers ask by default for more than some hosts may give.
        try folder.write(
            """
            [containers]
            default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
            netns = "none"
            log_driver = "k8s-file"
            [engine]
            cgroup_manager = "cgroupfs"
            events_logger = "file"
            [engine.runtimes]
            runc = ["\(try #require(HostProgram.find("runc")))"]
            """,
            "containers.conf"
        )
        let busybox = try #require(HostProgram.find("busybox"))
        let script =
            "mkdir -p \(folder.path)/tree/bin && cp \(busybox) \(folder.path)/tree/bin/busybox && "
            + "for name in sh cat uname sleep; do ln -s busybox \(folder.path)/tree/bin/$name; done && "
            + "tar -C \(folder.path)/tree -cf \(folder.path)/tree.tar . "
        #expect(try HostProgram.run("/bin/sh", ["-c", script]).status == 0)
        let imported = try podman("import", "\(folder.path)/tree.tar", "localhost/box")
        try #require(imported.status == 0, "\(imported.text)")
    }

    private func podman(_ arguments: String..., input: String? = nil) throws -> HostProgram.Ending {
        let program = try #require(HostProgram.find("podman"))
        let words = [
            "CONTAINERS_CONF=\(folder.path)/containers.conf", "MARTLET_GUEST_IMAGES=\(GuestImages.folder)",
            "XDG_CACHE_HOME=\(folder.path)/cache", program.string, "--root", "\(folder.path)/root", "--runroot",
            "\(folder.path)/run", "--storage-driver", "vfs", "--runtime", RuntimeTests.program.string,
        ]
        let quoted = (words + arguments).map { "'\($0)'" }.joined(separator: " ")
        let source = input.map { "printf '\($0)' | env " } ?? "exec env "
        return try HostProgram.run("/bin/sh", ["-c", source + quoted + " 2>\(folder.path)/errors"])
    }

    @Test func `a container has a kernel of its own, its input, and its program's status`() throws {
        let ended = try podman(
            "run",
            "--rm",
            "-i",
            "localhost/box",
            "sh",
            "-c",
            "cat; uname -r; exit 5",
            input: "words\\n"
        )
        let lines = ended.text.split(separator: "\n")
        #expect(ended.status == 5 && lines.first == "words")
        var host = utsname()
        unsafe uname(&host)
        let release = unsafe withUnsafeBytes(of: &host.release) {
            unsafe String(hostBytes: Array($0.prefix { $0 != 0 }))
        }
        #expect(lines.count == 2 && lines.last.map(String.init) != release)
        #expect(try podman("run", "--rm", "localhost/box", "nosuch").status == 127)
        #expect(try podman("run", "--rm", "localhost/box", "/bin").status == 126)
        #expect(try podman("ps", "--all", "--quiet").text.isEmpty)
    }
}
