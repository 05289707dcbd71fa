// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import Network
import SystemPackage
import Testing
import TestSupport

/// Networks of a machine with a name, by the tools that people use on both sides; nothing leaves the host.
@Suite(
    .serialized,
    .enabled(
        if: HostKVM.isUsable && NetworkNamespace.isUsable && Passt.program() != nil,
        "\(HostKVM.reason); \(NetworkNamespace.reason); needs passt"
    )
)
struct NetworkToolsTests {
    /// A machine on two networks, of passt and of a TAP.
    private struct Web {
        let machines: NamedMachines
        let folder: TemporaryFolder

        /// The machine's process sees `resolv.conf` of the folder in place of the host's.
        func start() throws {
            var run = machines.martlet(
                "run",
                "--name",
                "web",
                "--detach",
                "--net",
                "-p",
                "127.0.0.1:8080:80",
                "-p",
                "127.0.0.1:5201:5201",
                "--net=tap:tap0,mac=06:00:ac:10:00:02,address=10.88.0.2/24",
                try GuestImages.path("vmlinux"),
                "--disk",
                "\(try GuestImages.path("testing.ext4")),readonly",
                "--cmdline",
                "quiet martlet.shell=off"
            )
            let script = "mount --bind '\(folder.path)/resolv.conf' /etc/resolv.conf && exec \"$@\""
            run.launcher = ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", script, "sh"]
            let started = try run.runToEnd()
            #expect(started.termination == .exited(0), "\(started.messages)")
        }

        /// Gives what a line of shell in the guest prints.
        func guest(_ line: String, of name: String = "web") throws -> String {
            let run = machines.martlet("exec", name, "sh", "-c", line)
            return try run.runToEnd(within: LinuxShell.patience).text.trimmingSpace
        }

        /// Gives what a line of shell on the host prints, and its exit status.
        func host(_ line: String) throws -> String {
            let program = "( \(line) ) > '\(folder.path)/out' 2>&1; echo \"status $?\" >> '\(folder.path)/out'"
            let environment = ["MARTLET_RUNTIME_DIR": machines.runtime.path, "MARTLET": Martlet.program]
            _ = try ChildProcess(
                "/bin/sh",
                ["-c", "ulimit -c 0; \(program)"],
                environment: environment,
                descriptors: [.null, .null, .copy(2)]
            ).wait(within: LinuxShell.patience)
            return String(decoding: try folder.read("out"), as: UTF8.self).trimmingSpace
        }
    }

    /// One boot for all of it.
    @Test func `ping, wget, curl, name service, iperf3, ssh over vsock and tcpdump work between a guest and the host`()
        throws
    {
        let web = Web(machines: try NamedMachines(), folder: try TemporaryFolder())
        let servers = try web.folder.write(Array("nameserver 10.77.0.1\n".utf8), to: "resolv.conf")
        // passt reads it as the user nobody.
        unsafe chmod(servers, 0o644)
        try web.folder.write(Array("of the host".utf8), to: "page")
        try NetworkNamespace.run {
            try NetworkNamespace.ip("tuntap add tap0 mode tap")
            try NetworkNamespace.ip("addr add 10.88.0.1/24 dev tap0")
            try NetworkNamespace.ip("link set tap0 up")
            // The host of passt needs a default route.
            try NetworkNamespace.ip("link add world type veth peer name other")
            try NetworkNamespace.ip("link set other up")
            try NetworkNamespace.ip("addr add 10.77.0.1/24 dev world")
            try NetworkNamespace.ip("link set world up")
            try NetworkNamespace.ip("route add default via 10.77.0.2")
            let names = try NameServer("page.test", at: [10, 77, 0, 1])
            let pages = try ChildProcess(
                "/bin/busybox",
                ["httpd", "-f", "-p", "10.77.0.1:8000", "-h", web.folder.path],
                descriptors: [.null, .null, .copy(2)]
            )
            let dump = try ChildProcess(
                "/usr/bin/tcpdump",
                ["-i", "tap0", "-U", "-Z", "root", "-w", "\(web.folder.path)/tap0.pcap"],
                descriptors: [.null, .null, .null]
            )
            defer { for process in [pages, dump] { process.end() } }
            try web.start()
            try expectNames(web)
            try expectThroughput(web)
            try expectShell(web)
            #expect(try web.guest("ping -c 2 10.88.0.1 | grep -c seq=") == "2")
            #expect(try web.host("ping -q -c 2 -W 60 10.88.0.2").hasSuffix("status 0"))
            let packets = try web.host("tcpdump -nn -e -r '\(web.folder.path)/tap0.pcap' icmp")
            #expect(packets.contains("06:00:ac:10:00:02") && packets.contains("10.88.0.2 > 10.88.0.1: ICMP echo reply"))
            try expectLossOfInterfaces(web)
            withExtendedLifetime(names) {}
        }
    }

    /// One boot for all of it: the second machine continues from a snapshot of the first.
    @Test func `machines reach each other over a bridge and over one stream socket, each with metadata of its own`()
        throws
    {
        let web = Web(machines: try NamedMachines(), folder: try TemporaryFolder())
        let (kernel, disk) = try (GuestImages.path("vmlinux"), GuestImages.path("testing.ext4"))
        let configuration = """
            {"boot-source": {"kernel_image_path": "\(kernel)", "boot_args": "quiet martlet.shell=off"},
             "machine-config": {"vcpu_count": 1, "mem_size_mib": 128},
             "drives": [{"drive_id": "root", "is_root_device": true, "is_read_only": true, "path_on_host": "\(disk)"}],
             "network-interfaces": [
                 {"iface_id": "eth0", "host_dev_name": "tap0", "martlet": {"address": "10.88.0.2/24"}},
                 {"iface_id": "eth1", "host_dev_name": "", "martlet": {"backend": "stream", "address": "10.99.0.2/24",
                  "path": "\(web.folder.path)/left.sock"}}],
             "mmds-config": {"version": "V2", "network_interfaces": ["eth0"]},
             "vsock": {"guest_cid": 3, "uds_path": "\(web.folder.path)/v.sock"}, "entropy": {}}
            """
        let file = try web.folder.write(Array(configuration.utf8), to: "machine.json")
        try NetworkNamespace.run {
            try NetworkNamespace.ip("link add br0 type bridge")
            try NetworkNamespace.ip("link set br0 up")
            for name in ["tap0", "tap1"] {
                try NetworkNamespace.ip("tuntap add \(name) mode tap")
                try NetworkNamespace.ip("link set \(name) master br0 up")
            }
            let relay = try ChildProcess(
                "/usr/bin/socat",
                ["UNIX-LISTEN:\(web.folder.path)/left.sock", "UNIX-LISTEN:\(web.folder.path)/right.sock"],
                descriptors: [.null, .null, .copy(2)]
            )
            defer { relay.end() }
            try Deadline.wait(for: "socat") { try web.folder.names().contains("left.sock") }
            let run = web.machines.martlet("run", "--name", "web", "--detach", "--config", file)
            let started = try run.runToEnd()
            #expect(started.termination == .exited(0), "\(started.messages)")
            let metadata = try expectMetadata(web)
            let restored = try startSecond(web)
            #expect(restored.termination == .exited(0), "\(restored.messages)")
            try expectMetadata(of: "db", afterRestore: web, metadata)
            // Both are the same machine still: the second one gets names of its own.
            for (index, network) in ["10.88.0", "10.99.0"].enumerated() {
                let own = "ifconfig eth\(index) hw ether 06:00:ac:10:0\(index):03 && ifconfig eth\(index) \(network).3"
                #expect(try web.guest("\(own) netmask 255.255.255.0 2>&1", of: "db") == "")
                #expect(try web.guest("ping -c 2 -W 60 \(network).2 | grep -c seq=", of: "db") == "2")
                #expect(try web.guest("ping -c 2 -W 60 \(network).3 | grep -c seq=") == "2")
            }
            for name in ["web", "db"] { #expect(try web.machines.run("kill", name).termination == .exited(0)) }
        }
    }

    /// The line that gets a value in the guest, up to the value's name.
    private func expectMetadata(_ web: Web) throws -> String {
        let api = "curl -s --unix-socket '\(web.machines.runtime.path)/web/api.sock' -X PUT http://localhost/mmds"
        let large = String(repeating: "x", count: 40_000)
        try web.folder.write(Array(#"{"latest": {"id": "ami-1", "large": "\#(large)"}}"#.utf8), to: "data.json")
        #expect(try web.host("\(api) -d @'\(web.folder.path)/data.json'") == "status 0")
        #expect(try web.guest("ip route add 169.254.169.254 dev eth0") == "")
        let refused = try web.guest("wget -O - http://169.254.169.254/latest/id 2>&1")
        #expect(refused.contains("401 Unauthorized"), "\(refused)")
        let token = try web.guest(Self.tokenRequest)
        #expect(token.utf8.count == 44, "\(token)")
        let get = Self.metadata(with: token)
        #expect(try web.guest("\(get)/id") == "ami-1")
        #expect(try web.guest("\(get)/large | wc -c") == "40000")
        #expect(try web.host("\(api) -d '{\"latest\": {\"id\": \"ami-2\"}}'") == "status 0")
        #expect(try web.guest("\(get)/id") == "ami-2")
        return get
    }

    /// A snapshot has the service, but neither data nor tokens; the machine that it was taken of keeps both.
    private func expectMetadata(of name: String, afterRestore web: Web, _ get: String) throws {
        let refused = try web.guest("\(get)/id 2>&1", of: name)
        #expect(refused.contains("401 Unauthorized"), "\(refused)")
        let token = try web.guest(Self.tokenRequest, of: name)
        #expect(try web.guest("\(Self.metadata(with: token))/id", of: name) == "ami-3")
        #expect(try web.guest("\(get)/id") == "ami-2")
    }

    private static let tokenRequest = """
        printf 'PUT /latest/api/token HTTP/1.0\\r\\nX-metadata-token-ttl-seconds: 600\\r\\n\\r\\n' \
        | nc 169.254.169.254 80 | tail -n 1
        """

    private static func metadata(with token: String) -> String {
        "wget -q -O - --header 'X-metadata-token: \(token)' http://169.254.169.254/latest"
    }

    /// Lets `db` go on from where `web` is, on networks and with metadata of its own.
    private func startSecond(_ web: Web) throws -> Martlet.Result {
        let snapshot = "\(web.folder.path)/web.snapshot"
        let saved = try web.machines.run("snapshot", "save", "web", snapshot)
        #expect(saved.termination == .exited(0), "\(saved.messages)")
        let data = try web.folder.write(Array(#"{"latest": {"id": "ami-3"}}"#.utf8), to: "db.json")
        return try web.machines.martlet(
            "run",
            "--restore",
            snapshot,
            "--name",
            "db",
            "--detach",
            "--metadata",
            data,
            "--disk",
            "\(try GuestImages.path("testing.ext4")),drive=root",
            "--net=tap:tap1",
            "--net=socket:\(web.folder.path)/right.sock",
            "--vsock=\(web.folder.path)/w.sock"
        ).runToEnd()
    }

    /// A page of the host's by its name, and one of the guest's as docs/network.md says.
    private func expectNames(_ web: Web) throws {
        #expect(try web.guest("cat /sys/class/net/eth1/address") == "06:00:ac:10:00:02")
        let lookup = try web.guest("nslookup page.test 2>&1")
        #expect(lookup.contains("Address: 10.77.0.1") || lookup.contains("Address 1: 10.77.0.1"), "\(lookup)")
        #expect(try web.guest("wget -q -O - http://page.test:8000/page 2>&1") == "of the host")
        #expect(try web.guest("wget -q -O - http://nobody.test:8000/page 2>&1").contains("bad address"))
        #expect(try web.guest("mkdir /tmp/www; echo hello > /tmp/www/index.html; httpd -h /tmp/www") == "")
        #expect(try web.host("curl -s http://127.0.0.1:8080/") == "hello\nstatus 0")
    }

    /// TCP both ways over the TAP and through passt, and UDP.
    private func expectThroughput(_ web: Web) throws {
        #expect(try web.guest("iperf3 -s -D --forceflush --logfile /tmp/iperf.log") == "")
        let lines = ["10.88.0.2 -n 512K", "10.88.0.2 -n 512K -R", "127.0.0.1 -n 512K", "10.88.0.2 -u -b 2M -n 64K"]
        for (index, line) in lines.enumerated() {
            // It listens anew for each client.
            try Deadline.wait(for: "iperf3 in the guest", within: LinuxShell.patience) {
                try Int(web.guest("grep -c 'Server listening' /tmp/iperf.log")) ?? 0 > index
            }
            let result = try web.host("iperf3 --connect-timeout 60000 -c \(line)")
            guard !result.contains("iperf Done.") || !result.hasSuffix("status 0") else { continue }
            Issue.record("iperf3 -c \(line): \(result)\n\(try web.guest("tail -n 20 /tmp/iperf.log; dmesg | tail"))")
        }
    }

    /// ssh as docs/vsock.md says: the connection needs no network.
    private func expectShell(_ web: Web) throws {
        #expect(try web.host("ssh-keygen -q -t ed25519 -N '' -f '\(web.folder.path)/id'") == "status 0")
        // The disk is read-only.
        #expect(try web.guest("mount -t tmpfs -o mode=700 none /root && mkdir -m 700 /root/.ssh") == "")
        let copy = "\"$MARTLET\" cp '\(web.folder.path)/id.pub' web:/root/.ssh/authorized_keys"
        #expect(try web.host(copy) == "status 0")
        let server = "dropbear -s -P /run/dropbear.pid -r /run/key -p 127.0.0.1:22"
        _ = try web.guest("chmod 600 /root/.ssh/*; dropbearkey -t ed25519 -f /run/key >/dev/null 2>&1; \(server)")
        _ = try web.guest("socat VSOCK-LISTEN:22,fork TCP:127.0.0.1:22 >/dev/null 2>&1 &")
        let options = "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR"
        let ssh =
            "ssh -F none -i '\(web.folder.path)/id' \(options) -o ProxyCommand='\"$MARTLET\" vsock web 22' root@web"
        var answer = ""
        try Deadline.wait(for: "socat in the guest", within: LinuxShell.patience) {
            answer = try web.host("\(ssh) 'uname -n; exit 5'")
            return !answer.contains("status 255")
        }
        #expect(answer == "martlet\nstatus 5")
    }

    /// The machine continues when passt is killed and when its TAP is deleted, and its guest sees both links go down.
    private func expectLossOfInterfaces(_ web: Web) throws {
        let monitor = try #require(try web.machines.processID(of: "web"))
        let passt = try web.host("cat /proc/\(monitor)/task/*/children")
        let child = try #require(passt.split(separator: " ").first.flatMap { pid_t($0) })
        kill(child, SIGKILL)
        // The monitor continues, and leaves no zombie meanwhile.
        try Deadline.wait(for: "the monitor to collect passt", within: LinuxShell.patience) {
            try web.host("cat /proc/\(monitor)/task/*/children") == "status 0"
        }
        let log = "cat '\(web.machines.runtime.path)/web/monitor.log'"
        for (change, words) in [("set tap0 down", "interface tap0 is down"), ("del tap0", "tap0 was deleted")] {
            try NetworkNamespace.ip("link \(change)")
            try Deadline.wait(for: "words on \(change)", within: LinuxShell.patience) {
                try web.host(log).contains(words)
            }
        }
        try Deadline.wait(for: "the links to go down", within: LinuxShell.patience) {
            try web.guest("cat /sys/class/net/eth0/carrier /sys/class/net/eth1/carrier | xargs") == "0 0"
        }
        #expect(try web.machines.run("kill", "web").termination == .exited(0))
    }
}

extension String {
    /// Without white space at its ends.
    fileprivate var trimmingSpace: String {
        var text = self[...]
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
