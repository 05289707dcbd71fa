// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import Network
import SystemPackage
import TestSupport
import Testing

/// TAPs of the real kernel, each test with a network of its own.
@Suite(.serialized, .enabled(if: NetworkNamespace.isUsable, "\(NetworkNamespace.reason)"))
struct TAPBackendTests {
    private func withTAP(_ options: String = "", _ body: () throws -> Void) throws {
        try NetworkNamespace.run {
            try NetworkNamespace.ip("tuntap add tap0 mode tap \(options)")
            try NetworkNamespace.ip("link set tap0 up")
            try body()
        }
    }

    private static let header = [UInt8](repeating: 0, count: 12)

    /// An ARP request for 10.0.0.1, which the host's kernel answers.
    private static let request: [UInt8] =
        [UInt8](repeating: 0xff, count: 6) + [2, 0, 0, 0, 0, 5, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 5]
        + [10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1] + [UInt8](repeating: 0, count: 18)

    @Test(arguments: ["", "multi_queue", "vnet_hdr"])
    func `the host's kernel answers through an interface, however it was made`(options: String) throws {
        try withTAP(options) {
            try NetworkNamespace.ip("addr add 10.0.0.1/24 dev tap0")
            let connection = try NetworkAttachment.tap("tap0").open()
            var answer: [UInt8] = []
            try Deadline.wait(for: "an answer to the ARP request") {
                // Until the kernel has noted that the link is up, answers are lost.
                #expect(connection.backends[0].send(Self.header + Self.request) == .sent)
                // Others come as well: the kernel looks for routers.
                answer = connection.backends[0].receive().1
                return answer.dropFirst(12 + 12).prefix(2) == [8, 6]
            }
            #expect(answer[12 + 21] == 2, "a reply")
        }
    }

    /// Asks for the hardware address of fd00::1 (RFC 4861, 4.3), as an IPv6 guest does first of all.
    private static let solicitation: [UInt8] = {
        let (own, wanted) = (
            [0xfd] + [UInt8](repeating: 0, count: 14) + [2], [0xfd] + [UInt8](repeating: 0, count: 14) + [1]
        )
        let group: [UInt8] = [0xff, 2] + [UInt8](repeating: 0, count: 9) + [1, 0xff, 0, 0, 1]
        let address: [UInt8] = [2, 0, 0, 0, 0, 5]
        var message: [UInt8] = [135, 0, 0, 0, 0, 0, 0, 0] + wanted + [1, 1] + address
        let pseudoHeader = own + group + [0, 0, 0, UInt8(message.count), 0, 0, 0, 58]
        var sum = 0
        for (index, byte) in (pseudoHeader + message).enumerated() { sum += Int(byte) << (index % 2 == 0 ? 8 : 0) }
        while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
        message[2] = UInt8(~sum >> 8 & 0xff)
        message[3] = UInt8(~sum & 0xff)
        let packet: [UInt8] = [0x60, 0, 0, 0, 0, UInt8(message.count), 58, 255] + own + group + message
        return [0x33, 0x33, 0xff, 0, 0, 1] + address + [0x86, 0xdd] + packet
    }()

    @Test func `IPv6 of a guest is answered by the host's kernel`() throws {
        try withTAP {
            try NetworkNamespace.execute("echo 0 > /proc/sys/net/ipv6/conf/tap0/disable_ipv6")
            try NetworkNamespace.ip("addr add fd00::1/64 dev tap0 nodad")
            let connection = try NetworkAttachment.tap("tap0").open()
            var answer: [UInt8] = []
            try Deadline.wait(for: "an answer to the neighbour solicitation") {
                #expect(connection.backends[0].send(Self.header + Self.solicitation) == .sent)
                answer = Array(connection.backends[0].receive().1.dropFirst(12))
                // Others come as well: the kernel looks for routers. 136 is an advertisement of a neighbour.
                return answer.count > 54 && answer[12..<14] == [0x86, 0xdd] && answer[54] == 136
            }
            #expect(answer.prefix(6) == [2, 0, 0, 0, 0, 5])
        }
    }

    @Test func `its MTU and offloads are those of the interface and the kernel`() throws {
        try withTAP {
            try NetworkNamespace.ip("link set tap0 mtu 8935")
            let connection = try NetworkAttachment.tap("tap0").open()
            #expect(connection.mtu == 8935)
            #expect(connection.offloads.isSuperset(of: [.checksum, .tcp4, .tcp6]))
            try connection.backends[0].setOffloads(connection.offloads)
            try connection.backends[0].setOffloads([])
            #expect(throws: NetworkError.self) { try connection.backends[0].setOffloads([.tcp4]) }
        }
    }

    @Test func `several queues of one interface are opened`() throws {
        try withTAP("multi_queue") {
            let connection = try NetworkAttachment.tap("tap0").open(queueCount: 4)
            #expect(connection.backends.count == 4)
        }
        try withTAP {
            #expect(throws: NetworkError.oneQueue("tap0")) { try NetworkAttachment.tap("tap0").open(queueCount: 2) }
        }
    }

    @Test func `the check before the start opens a TAP as Firecracker does, and leaves it free`() throws {
        try withTAP {
            for _ in 0..<2 { try NetworkAttachment.probeTAP("tap0") }
            #expect(throws: Errno.operationNotSupportedByDevice) { try NetworkAttachment.probeTAP("tap1") }
            let connection = try NetworkAttachment.tap("tap0").open()
            #expect(throws: Errno.resourceBusy) { try NetworkAttachment.probeTAP("tap0") }
            withExtendedLifetime(connection) {}
        }
        try withTAP("multi_queue") {
            #expect(throws: Errno.invalidArgument) { try NetworkAttachment.probeTAP("tap0") }
        }
    }

    @Test func `an interface is never made, and one that is no TAP is refused`() throws {
        try NetworkNamespace.run {
            #expect(throws: NetworkError.noInterface("tap0")) { try NetworkAttachment.tap("tap0").open() }
            try NetworkNamespace.ip("link add bridge0 type bridge")
            #expect(throws: NetworkError.notATAP("bridge0")) { try NetworkAttachment.tap("bridge0").open() }
            try NetworkNamespace.ip("tuntap add tun0 mode tun")
            #expect(throws: NetworkError.notATAP("tun0")) { try NetworkAttachment.tap("tun0").open() }
        }
    }

    @Test func `an interface that another process has is in use, and free as soon as it has ended`() throws {
        try withTAP {
            var first: NetworkConnection? = try NetworkAttachment.tap("tap0").open()
            #expect(first?.backends.count == 1)
            #expect(throws: NetworkError.interfaceInUse("tap0")) { try NetworkAttachment.tap("tap0").open() }
            first = nil
            _ = try NetworkAttachment.tap("tap0").open()
        }
    }

    @Test func `a link that goes down and up is told of, and frames to it are dropped`() throws {
        try withTAP {
            let connection = try NetworkAttachment.tap("tap0").open()
            let link = try #require(connection.link)
            #expect(link.takeState() == .up)
            try NetworkNamespace.ip("link set tap0 down")
            #expect(link.takeState() == .down)
            #expect(connection.backends[0].send(Self.header + Self.request) == .dropped(.ioError))
            #expect(connection.backends[0].receive().0 == .empty)
            try NetworkNamespace.ip("link set tap0 up")
            #expect(link.takeState() == .up)
        }
    }

    @Test func `a link has an event for each change`() throws {
        try withTAP {
            let link = try #require(try NetworkAttachment.tap("tap0").open().link)
            let set = try EventSet([link.descriptor])
            _ = link.takeState()
            try NetworkNamespace.ip("link set tap0 down")
            #expect(set.wait() == 1)
        }
    }

    @Test func `an interface that is deleted ends its back end`() throws {
        try withTAP {
            let connection = try NetworkAttachment.tap("tap0").open()
            try NetworkNamespace.ip("link delete tap0")
            #expect(connection.link?.takeState() == .gone)
            #expect(connection.backends[0].receive().0 == .closed(.interfaceDeleted("tap0")))
            #expect(
                connection.backends[0].send(Self.header + Self.request) == .closed(.interfaceDeleted("tap0"))
            )
            try connection.backends[0].setOffloads([])
        }
    }

    @Test func `a header that makes no sense costs its frame only`() throws {
        try withTAP {
            let connection = try NetworkAttachment.tap("tap0").open()
            // GSO of a kind that is none.
            let header = [0, 0x7f] + Self.header.dropFirst(2)
            #expect(connection.backends[0].send(header + Self.request) == .dropped(.invalidArgument))
            #expect(connection.backends[0].send(Self.header + Self.request) == .sent)
        }
    }

    @Test func `a descriptor of an interface serves as well as its name`() throws {
        try withTAP {
            let opened = try NetworkAttachment.tap("tap0").open()
            let connection = try NetworkAttachment.descriptors([opened.backends[0].descriptor.rawValue]).open()
            #expect(connection.mtu == 1500)
            #expect(connection.link?.name == "tap0")
            #expect(connection.backends[0].send(Self.header + Self.request) == .sent)
        }
    }
}
