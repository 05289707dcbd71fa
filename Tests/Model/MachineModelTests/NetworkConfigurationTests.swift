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
}
