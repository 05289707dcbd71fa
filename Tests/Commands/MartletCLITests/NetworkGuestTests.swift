// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import Network
import Testing
import TestSupport

/// Linux guests on networks that the tests make and that are gone with them; nothing leaves the host.
@Suite(
    .serialized,
    .enabled(
        if: HostKVM.isUsable && NetworkNamespace.isUsable,
        "\(HostKVM.reason); \(NetworkNamespace.reason)"
    )
)
struct NetworkGuestTests {
    private static let busybox = "/bin/busybox"

    /// A web server of the host's in the test's network.
    private final class Server {
        private let process: ChildProcess

        init(_ address: String, _ text: String, in folder: TemporaryFolder) throws {
            try folder.write(Array(text.utf8), to: "page")
            process = try ChildProcess(
                NetworkGuestTests.busybox,
                ["httpd", "-f", "-p", address, "-h", folder.path],
                descriptors: [.null, .null, .copy(2)]
            )
        }

        deinit {
            process.send(SIGKILL)
            _ = try? process.wait()
        }
    }

    /// Connects from the host to an address, and returns what it sends; empty for nothing.
    private func page(_ address: String) throws -> String {
        let output = try TemporaryFolder()
        let line = "\(Self.busybox) wget -q -O \(output.path)/page http://\(address)/page"
        try? NetworkNamespace.execute(line)
        return (try? String(decoding: output.read("page"), as: UTF8.self)) ?? ""
    }

    @Test func `a TAP that is missing, no TAP or in use is refused in words before the guest runs`() throws {
        let machines = try NamedMachines()
        try NetworkNamespace.run {
            try NetworkNamespace.ip("tuntap add tap0 mode tap")
            try NetworkNamespace.ip("link add other type veth peer name another")
            #expect(try machines.start("first", [.spin], "--net=tap:tap0").termination == .exited(0))
            for (name, words) in [
                ("tap0", "network interface tap0 is in use by another process"),
                (
                    "tap1",
                    "there is no network interface tap1: make it with `ip tuntap add tap1 mode tap user $USER vnet_hdr`"
                ),
                ("other", "network interface other is not a TAP"),
            ] {
                let refused = try machines.guest([.spin], "--net=tap:\(name)").runToEnd()
                #expect(refused.termination == .exited(1))
                #expect(refused.messages.contains(words), "\(refused.messages)")
            }
            #expect(try machines.run("kill", "first").termination == .exited(0))
        }
    }

    @Test func `a guest and the host reach each other over a TAP, and the guest sees its link go down and up`() throws {
        let folder = try TemporaryFolder()
        try NetworkNamespace.run {
            try NetworkNamespace.ip("tuntap add tap0 mode tap")
            try NetworkNamespace.ip("addr add 10.88.0.1/24 dev tap0")
            try NetworkNamespace.ip("link set tap0 mtu 8935 up")
            let server = try Server("10.88.0.1:8000", "of the host", in: folder)
            let network = "--net=tap:tap0,mac=06:00:ac:10:00:02,address=10.88.0.2/24,gateway=10.88.0.1,dns=10.88.0.1"
            try LinuxShell.boot(network) { shell in
                #expect(
                    try shell.run("cat /sys/class/net/eth0/address /sys/class/net/eth0/mtu | xargs")
                        == "06:00:ac:10:00:02 8935"
                )
                #expect(try shell.run("cat /etc/resolv.conf") == "nameserver 10.88.0.1")
                #expect(try shell.run("ping -c 3 10.88.0.1 | grep -c seq=") == "3")
                #expect(try shell.run("wget -q -O - http://10.88.0.1:8000/page; echo") == "of the host")
                try shell.start("mkdir /w; echo -n of the guest > /w/page; httpd -p 80 -h /w")
                _ = try shell.awaitPrompt()
                #expect(try page("10.88.0.2") == "of the guest")
                try NetworkNamespace.execute("\(Self.busybox) ping -c 3 -W 60 10.88.0.2 >/dev/null")
                try NetworkNamespace.ip("link set tap0 down")
                try Deadline.wait(for: "the link to go down", within: LinuxShell.patience) {
                    try shell.run("cat /sys/class/net/eth0/carrier") == "0"
                }
                try NetworkNamespace.ip("link set tap0 up")
                try Deadline.wait(for: "the link to come up", within: LinuxShell.patience) {
                    try shell.run("cat /sys/class/net/eth0/carrier") == "1"
                }
                #expect(try shell.run("ping -c 3 10.88.0.1 | grep -c seq=") == "3")
                try shell.powerOff()
            }
            withExtendedLifetime(server) {}
        }
    }

    @Test(.enabled(if: Passt.program() != nil, "needs passt"))
    func `passt gives a guest a network without rights: a published port, the world, and not the host's loopback`()
        throws
    {
        let (folder, hidden) = (try TemporaryFolder(), try TemporaryFolder())
        try NetworkNamespace.run {
            // The host of passt needs a default route.
            try NetworkNamespace.ip("link add world type veth peer name other")
            try NetworkNamespace.ip("link set other up")
            try NetworkNamespace.ip("addr add 10.77.0.1/24 dev world")
            try NetworkNamespace.ip("link set world up")
            let refused = try Martlet(["run", "--net"]).runToEnd()
            #expect(refused.termination == .exited(1))
            #expect(refused.messages.contains("passt: this host has no default route"))
            try NetworkNamespace.ip("route add default via 10.77.0.2")
            let server = try Server("10.77.0.1:8000", "of the host", in: folder)
            let loopback = try Server("127.0.0.1:8001", "for the host alone", in: hidden)
            let taken = try Martlet(["run", "-p", "8000:80"]).runToEnd()
            #expect(taken.termination == .exited(1))
            #expect(taken.messages.contains("port 8000 of the host is in use"))
            try LinuxShell.boot("--net", "-p", "127.0.0.1:8080:80") { shell in
                #expect(try shell.run("cat /etc/resolv.conf") == "nameserver 169.254.2.3")
                #expect(try shell.run("cat /sys/class/net/eth0/mtu") == "65520")
                #expect(try shell.run("wget -q -O - http://10.77.0.1:8000/page; echo") == "of the host")
                try shell.start("mkdir /w; echo -n of the guest > /w/page; httpd -p 80 -h /w")
                _ = try shell.awaitPrompt()
                #expect(try page("127.0.0.1:8080") == "of the guest")
                #expect(try shell.run("echo GET /page | nc -w 5 169.254.2.2 8001 2>/dev/null; echo") == "")
                #expect(try page("127.0.0.1:8001") == "for the host alone")
                try shell.powerOff()
            }
            withExtendedLifetime((server, loopback)) {}
        }
    }
}
