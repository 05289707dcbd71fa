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
    private static let hasNetavark = unsafe access("/usr/lib/podman/netavark", X_OK) == 0

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
            [network]
            network_backend = "netavark"
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
        let imported = try podman(["import", "\(folder.path)/tree.tar", "localhost/box"])
        try #require(imported.status == 0, "\(imported.text)")
    }

    /// The messages of the last podman.
    private var errors: String {
        (try? FileContents.text(of: folder.path.appending("errors"), limit: 1 << 16)) ?? ""
    }

    /// Runs podman to its end, which is soon.
    private func podman(_ arguments: [String], input: String? = nil) throws -> HostProgram.Ending {
        let program = try #require(HostProgram.find("podman"))
        let words = [
            "CONTAINERS_CONF=\(folder.path)/containers.conf", "MARTLET_GUEST_IMAGES=\(GuestImages.folder)",
            "XDG_CACHE_HOME=\(folder.path)/cache", "timeout", "-k", "5", "300",
        ]
        let options = [
            program.string, "--root", "\(folder.path)/root", "--runroot", "\(folder.path)/run", "--tmpdir",
            "\(folder.path)/tmp", "--storage-driver", "vfs", "--runtime", RuntimeTests.program.string,
        ]
        let quoted = (words + options + arguments).map { "'\($0)'" }.joined(separator: " ")
        let source = input.map { "printf '\($0)' | env " } ?? "exec env "
        return try HostProgram.run("/bin/sh", ["-c", source + quoted + " 2>\(folder.path)/errors"])
    }

    @Test func `a container has a kernel of its own, its input, and its program's status`() throws {
        let ended = try podman(
            ["run", "--rm", "-i", "localhost/box", "sh", "-c", "cat; uname -r; exit 5"],
            input: "words\n"
        )
        let lines = ended.text.split(separator: "\n")
        #expect(ended.status == 5 && lines.first == "words")
        var host = utsname()
        unsafe uname(&host)
        let release = unsafe withUnsafeBytes(of: &host.release) {
            unsafe String(hostBytes: Array($0.prefix { $0 != 0 }))
        }
        #expect(lines.count == 2 && lines.last.map(String.init) != release)
        // That one has left a template, from which others go on: each as a machine of its own.
        let look = "cat /proc/sys/kernel/random/uuid; uname -n; busybox date +%s"
        let identities = try (0..<2).map { _ in
            let start = time(nil)
            let shown = try podman(["run", "--rm", "localhost/box", "sh", "-c", look])
            let words = shown.text.split(whereSeparator: \.isWhitespace).map(String.init)
            try #require(shown.status == 0 && words.count == 3, "\(errors)")
            #expect(start...time(nil) ~= (try #require(Int(words[2]))))
            return words
        }
        #expect(identities[0][0] != identities[1][0] && identities[0][1] != identities[1][1])
        // The guest's kernel hides and protects the engine's paths, and filters system calls.
        let refused = "cat /proc/version; echo 1 >/proc/sys/kernel/panic || grep Seccomp: /proc/self/status"
        let words = ["run", "--rm", "--security-opt", "mask=/proc/version", "localhost/box", "sh", "-c", refused]
        #expect(try podman(words).text == "Seccomp:\t2\n", "\(errors)")
        let terminal = try podman(["run", "--rm", "-t", "localhost/box", "sh", "-c", "test -t 1 && exit 4"])
        #expect(terminal.status == 4, "\(errors)")
        #expect(try podman(["run", "--rm", "localhost/box", "nosuch"]).status == 127)
        #expect(try podman(["run", "--rm", "localhost/box", "/bin"]).status == 126)
        #expect(try podman(["ps", "--all", "--quiet"]).text.isEmpty)
    }
    /// One boot for all of it.
    @Test(
        .enabled(
            if: hasNetavark && NetworkNamespace.isUsable && HostProgram.find("iptables") != nil,
            "needs netavark and iptables; \(NetworkNamespace.reason)"
        )
    )
    func `a container has the network that podman made for it, with published ports, and takes programs at once`()
        throws
    {
        try NetworkNamespace.run {
            // A cable that leads nowhere: the host's own address is reached all the same.
            try NetworkNamespace.ip("link add eth0 type veth peer name other")
            try NetworkNamespace.ip("address add 192.0.2.1/24 dev eth0")
            try NetworkNamespace.ip("link set eth0 up")
            try useContainerWithNetwork()
        }
    }

    private func useContainerWithNetwork() throws {
        let program = "trap \"echo over; exit 7\" TERM; busybox httpd -p 80 -h /bin; while :; do sleep 1; done"
        let place = ["--name", "web", "--network", "podman", "-p", "8080:80", "localhost/box"]
        let started = try podman(["run", "-d"] + place + ["sh", "-c", program])
        try #require(started.status == 0, "\(errors)")
        defer { _ = try? podman(["rm", "--force", "--time", "0", "web"]) }
        // Its state is not among the machines with names.
        #expect(unsafe access("/run/martlet-oci", F_OK) == 0)
        // The machine still boots.
        let look = "busybox ip -o -4 address show eth0; busybox ip route; exit 5"
        let shown = try podman(["exec", "web", "sh", "-c", look])
        #expect(shown.status == 5, "\(errors)")
        #expect(shown.text.contains("inet 10.88.") && shown.text.contains("default via 10.88.0.1"))
        let process = try podman(["inspect", "--format", "{{.State.Pid}}", "web"]).text.filter(\.isNumber)
        // Its memory is a template's.
        #expect(try FileContents.text(of: FilePath("/proc/\(process)/maps"), limit: 1 << 20).contains("/memory\n"))
        let address = try podman(["inspect", "--format", "{{.NetworkSettings.Networks.podman.MacAddress}}", "web"])
        let device = try podman(["exec", "web", "cat", "/sys/class/net/eth0/address", "/sys/class/net/eth0/mtu"])
        #expect(device.text == address.text + "1500\n")
        let busybox = try #require(HostProgram.find("busybox"))
        let copy = "\(folder.path)/fetched"
        let fetch = ["300", busybox.string, "wget", "-q", "-O", copy, "http://192.0.2.1:8080/busybox"]
        #expect(try HostProgram.run("/usr/bin/timeout", fetch).status == 0)
        #expect(try HostProgram.run("/usr/bin/cmp", [copy, busybox.string]).status == 0)
        #expect(try podman(["stop", "--time", "60", "web"]).status == 0)
        #expect(try podman(["wait", "web"]).text == "7\n")
        #expect(try podman(["logs", "web"]).text == "over\n")
    }
}
