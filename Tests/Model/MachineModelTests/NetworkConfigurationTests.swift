// SPDX-License-Identifier: Apache-2.0

import JSON
import MachineModel
import Testing

@Suite struct NetworkConfigurationTests {
    private func interface(_ text: String) throws -> NetworkInterface {
        try JSONValue(parsing: Array(text.utf8)).decode(as: NetworkInterface.self)
    }

    @Test func `an interface of Firecracker's is a TAP`() throws {
        let wanted = try interface(#"{"iface_id":"eth0","host_dev_name":"tap0","guest_mac":"06:00:AC:10:00:02"}"#)
        try wanted.validate()
        try wanted.validateAttachment(at: "")
        #expect(wanted.backend == .tap)
        #expect(wanted.hostDeviceName == "tap0")
        #expect(wanted.queueCount == 1)
    }

    @Test(arguments: [
        (#"{"iface_id":"a-b"}"#, "iface_id"), (#"{"iface_id":"a","mtu":67}"#, "mtu"),
        (#"{"iface_id":"a","guest_mac":"07:00:AC:10:00:02"}"#, "guest_mac"),
        (#"{"iface_id":"a","guest_mac":"00:00:00:00:00:00"}"#, "guest_mac"),
        (#"{"iface_id":"a","guest_mac":"06:00:AC:10:00"}"#, "guest_mac"),
        (#"{"iface_id":"a","martlet":{"queues":9}}"#, "martlet.queues"),
        (#"{"iface_id":"a","martlet":{"fd":[2]}}"#, "martlet.fd"),
        (#"{"iface_id":"a","martlet":{"path":""}}"#, "martlet.path"),
    ])
    func `a field that cannot be is named`(text: String, field: String) throws {
        let wanted = try interface(text)
        let error = #expect(throws: ConfigurationError.self) { try wanted.validate() }
        #expect(error?.field == "network-interface.\(field)")
    }

    @Test(arguments: [
        (#"{"iface_id":"a"}"#, "host_dev_name"), (#"{"iface_id":"a","martlet":{"backend":"fd"}}"#, "martlet.fd"),
        (#"{"iface_id":"a","martlet":{"backend":"stream"}}"#, "martlet.path"),
        (#"{"iface_id":"a","martlet":{"backend":"fd","fd":[3],"queues":2}}"#, "martlet.queues"),
    ])
    func `the other end has to be described as its kind needs it`(text: String, field: String) throws {
        let wanted = try interface(text)
        let error = #expect(throws: ConfigurationError.self) { try wanted.validateAttachment(at: "x") }
        #expect(error?.field == "x.\(field)")
    }

    @Test func `no two interfaces have one name or one address`() throws {
        var configuration = MachineConfiguration(bootSource: BootSource(kernelPath: "/kernel"))
        var (first, second) = (NetworkInterface("a", hostDeviceName: "t"), NetworkInterface("b", hostDeviceName: "u"))
        (first.guestMAC, second.guestMAC) = ("06:00:ac:10:00:02", "06:00:AC:10:00:02")
        configuration.networkInterfaces = [first, second]
        var error = #expect(throws: ConfigurationError.self) { try configuration.validate() }
        #expect(error?.problem == "The MAC address is already in use: 06:00:AC:10:00:02")
        second.id = "a"
        configuration.networkInterfaces = [first, second]
        error = #expect(throws: ConfigurationError.self) { try configuration.validate() }
        #expect(error?.field == "network-interfaces[1].iface_id")
        configuration.networkInterfaces = []
        configuration.set(first)
        configuration.set(second)
        #expect(configuration.networkInterfaces == [second])
    }

    @Test func `a guest has an address from 3 on, and paths of sockets are changed with all others`() throws {
        #expect(throws: ConfigurationError.self) { try Vsock(path: "v", guestCID: 2).validate() }
        #expect(throws: ConfigurationError.self) { try Vsock(path: "").validate() }
        try Vsock(path: "v").validate()
        var configuration = MachineConfiguration(bootSource: BootSource(kernelPath: "k"))
        configuration.vsock = Vsock(path: "v")
        configuration.networkInterfaces = [NetworkInterface("a")]
        configuration.networkInterfaces[0].path = "n"
        configuration.mapPaths { "/x/\($0)" }
        #expect(configuration.vsock?.path == "/x/v")
        #expect(configuration.networkInterfaces[0].path == "/x/n")
    }

    @Test func `two networks of the machine's own do not share their addresses`() {
        var configuration = MachineConfiguration()
        configuration.networkInterfaces = ["a", "b", "c", "d"].map { NetworkInterface($0) }
        for index in 0..<3 { configuration.networkInterfaces[index].backend = .user }
        configuration.networkInterfaces[3].address = "169.254.3.1/16"
        #expect(configuration.networkParameters.prefix(3).allSatisfy { $0.contains("169.254.2.15/24") })
        configuration.networkInterfaces[3].address = "169.254.3.1/24"
        #expect(
            configuration.networkParameters == [
                "martlet.net=eth0,169.254.2.15/24,169.254.2.2,169.254.2.3",
                "martlet.net=eth1,169.254.4.15/24,169.254.4.2,169.254.4.3",
                "martlet.net=eth2,169.254.5.15/24,169.254.5.2,169.254.5.3", "martlet.net=eth3,169.254.3.1/24",
            ]
        )
        #expect(configuration.networkInterfaces[1].address == nil)
    }

    @Test func `a network of the machine's own has addresses that no host has, and others have those that are given`()
        throws
    {
        var wanted = NetworkInterface("a")
        #expect(try wanted.guestAddresses() == nil)
        wanted.backend = .user
        #expect(
            try wanted.guestAddresses()?.kernelParameter(for: "eth0")
                == "martlet.net=eth0,169.254.2.15/24,169.254.2.2,169.254.2.3"
        )
        wanted.address = "10.0.0.3/24"
        #expect(
            try wanted.guestAddresses()?.kernelParameter(for: "eth1")
                == "martlet.net=eth1,10.0.0.3/24,10.0.0.2,10.0.0.4"
        )
        wanted.nameServer = "none"
        #expect(try wanted.guestAddresses()?.kernelParameter(for: "eth0") == "martlet.net=eth0,10.0.0.3/24,10.0.0.2")
        wanted.backend = .tap
        #expect(try wanted.guestAddresses()?.kernelParameter(for: "eth0") == "martlet.net=eth0,10.0.0.3/24")
        wanted.nameServer = "9.9.9.9"
        #expect(try wanted.guestAddresses()?.kernelParameter(for: "eth0") == "martlet.net=eth0,10.0.0.3/24,,9.9.9.9")
    }

    @Test(arguments: [
        ("address", "10.0.0.3"), ("address", "10.0.0.3/31"), ("address", "10.0.0.300/24"), ("gateway", "10.0.1.1"),
        ("gateway", "10.0.0.3"), ("dns", "x"),
    ])
    func `an address that cannot be is refused with its field`(field: String, text: String) throws {
        var wanted = NetworkInterface("a")
        wanted.address = "10.0.0.3/24"
        switch field {
        case "address": wanted.address = text
        case "gateway": wanted.gateway = text
        default: wanted.nameServer = text
        }
        let error = #expect(throws: ConfigurationError.self) { try wanted.validate() }
        #expect(error?.field == "network-interface.martlet.\(field)")
    }

    @Test(arguments: [
        ("8080:80", "0.0.0.0:8080->80/tcp", "8080:80/tcp"),
        ("127.0.0.1:53:53/udp", "127.0.0.1:53->53/udp", "127.0.0.1:53:53/udp"),
        ("8000-8010:9000-9010", "0.0.0.0:8000-8010->9000-9010/tcp", "8000-8010:9000-9010/tcp"),
        ("80", "0.0.0.0:?->80/tcp", "80/tcp"), ("127.0.0.1::80", "127.0.0.1:?->80/tcp", "127.0.0.1::80/tcp"),
    ])
    func `ports are published as docker writes it`(text: String, shown: String, specification: String) throws {
        let forward = try PortForward(text)
        #expect(forward.description == shown)
        #expect(forward.specification == specification)
        #expect(try PortForward(specification) == forward)
    }

    @Test(arguments: [
        "", "x", "0:80", "80:0", "65536", "1-3:4-5", "80-81", "1.2.3:80:80", "1:2:3:4", "80:80/sctp", "8080:",
    ])
    func `a port that cannot be published is refused in words`(text: String) {
        let error = #expect(throws: PortForwardError.self) { try PortForward(text) }
        #expect(error?.description.hasPrefix("cannot publish port '\(text)': ") == true)
    }
}
