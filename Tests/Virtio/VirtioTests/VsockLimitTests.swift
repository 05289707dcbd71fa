// SPDX-License-Identifier: Apache-2.0

import Host
import SystemPackage
import TestSupport
import Testing
import Virtio

/// Limits, hostile guests, resets and restores.
@Suite struct VsockLimitTests {
    private let fixture: VsockFixture

    init() throws { fixture = try VsockFixture() }

    @Test func `the 1024th connection is refused, and place that gets free is used`() throws {
        let listener = try UnixSocket.listen(at: FilePath("\(fixture.path)_1"), backlog: 2000)
        var programs: [UnixSocket] = []
        for port in UInt32(1)...1023 {
            try fixture.send(.request, from: port, to: 1)
            try fixture.expect(.response)
            programs.append(try #require(try listener.accept()))
        }
        try fixture.send(.request, from: 5000, to: 1)
        try fixture.expect(.reset)
        #expect(fixture.device.connectionCount == 1023)
        try fixture.send(.reset, from: 7, to: 1)
        try fixture.send(.request, from: 5000, to: 1)
        try fixture.expect(.response)
    }

    @Test func `a thousand connections carry their own bytes in both directions`() throws {
        let count: UInt32 = 1000
        let programs = try (0..<count).map { try fixture.connected(to: 100 + $0) }
        for (index, (program, _)) in programs.enumerated() { program.write("to \(index)") }
        var received: [UInt32: String] = [:]
        while received.count < Int(count) {
            let (packet, data) = try fixture.expect(.readWrite)
            received[packet.destinationPort, default: ""] += String(decoding: data, as: UTF8.self)
        }
        for (index, (program, hostPort)) in programs.enumerated() {
            let guestPort = 100 + UInt32(index)
            #expect(received[guestPort] == "to \(index)")
            try fixture.send(.readWrite, from: guestPort, to: hostPort, data: Array("from \(index)".utf8))
            #expect(try program.read() == "from \(index)")
        }
        #expect(fixture.device.connectionCount == Int(count))
    }

    @Test func `clients that say nothing give way to those that do`() throws {
        let idle = try (0..<1100).map { _ in
            defer { fixture.device.handleEvents() }
            return try fixture.connect()
        }
        #expect(fixture.device.connectionCount == 1023)
        let (program, _) = try fixture.connected(to: 22)
        #expect(try idle[0].read() == nil)
        _ = program
    }

    @Test func `a program that asks for a port and ends in one event is forgotten, and the guest not asked`() throws {
        var program: HostProgram? = try fixture.connect()
        fixture.device.handleEvents()
        #expect(fixture.device.connectionCount == 1)
        program?.write("CONNECT 22\n")
        program = nil
        #expect(try fixture.receive() == nil)
        #expect(fixture.device.connectionCount == 0)
    }

    @Test func `packets that break the rules cost their own connection at most`() throws {
        let (program, hostPort) = try fixture.connected(to: 22)
        try fixture.send(.readWrite, from: 22, to: hostPort, data: [1]) { $0.sourceCID = 8 }
        try fixture.send(.readWrite, from: 22, to: hostPort, data: [1]) { $0.destinationCID = 3 }
        #expect(try fixture.receive() == nil)
        #expect(try program.readBytes() == [])
        try fixture.send(.request, from: 1, to: 1) { $0.type = 2 }
        try fixture.expect(.reset)
        try fixture.send(.request, from: 1, to: 1) { $0.operation = 77 }
        try fixture.expect(.reset)
        try fixture.send(.response, from: 22, to: hostPort)
        try fixture.expect(.reset)
        #expect(try program.readBytes() == nil)
    }

    @Test func `a packet without header, or with less data than it says, needs a reset`() throws {
        for bytes in [[UInt8](repeating: 0, count: 43), VsockPacket().with { $0.byteCount = 1 }.bytes] {
            let fixture = try VsockFixture()
            _ = try fixture.driver.request(readable: [bytes], queue: 1)
            #expect(fixture.driver.interrupt.current.needsReset.count == 1)
        }
    }

    @Test func `without buffers packets wait, and a driver's reset ends its connections`() throws {
        let fixture = try VsockFixture(givesBuffers: false)
        try fixture.giveBuffers(1)
        let (program, hostPort) = try fixture.connected(to: 22)
        fixture.device.reset()
        #expect(try program.readBytes() == nil)
        try fixture.driver.reset()
        for port in UInt32(1)...3000 { try fixture.send(.readWrite, from: port, to: hostPort) }
        try fixture.giveBuffers(8)
        try fixture.expect(.reset)
    }

    @Test func `a restored guest hears that its connections have ended before it gets new ones`() throws {
        let (program, hostPort) = try fixture.connected(to: 22)
        fixture.device.drain(.everything)
        let state = fixture.device.savedState
        #expect(state.vsock?.nextHostPort == hostPort + 1)
        let other = try VsockFixture(state: state)
        let client = try other.connect()
        client.write("CONNECT 22\n")
        #expect(try other.receive() == nil)
        let event = try other.driver.request(writable: [8], queue: 2)
        let reply = try other.driver.reply(to: event)
        #expect(reply.usedByteCount == 4)
        #expect(reply.bytes.prefix(4) == [0, 0, 0, 0])
        #expect(try other.receive() == nil)
        _ = try other.driver.request(writable: [8], queue: 2)
        #expect(try other.expect(.request).packet.sourcePort == hostPort + 1)
        _ = program
    }

    @Test func `a guest whose connections the machine ends hears of it before it gets new ones`() throws {
        let (program, hostPort) = try fixture.connected(to: 22)
        let event = try fixture.driver.request(writable: [8], queue: 2)
        fixture.device.endConnections()
        program.write("late")
        let client = try fixture.connect()
        client.write("CONNECT 22\n")
        #expect(try fixture.receive() == nil)
        #expect(try fixture.driver.reply(to: event).bytes.prefix(4) == [0, 0, 0, 0])
        #expect(try program.readBytes() == nil)
        _ = try fixture.driver.request(writable: [8], queue: 2)
        #expect(try fixture.expect(.request).packet.sourcePort == hostPort + 1)
    }
}

extension VsockPacket {
    fileprivate func with(_ change: (inout VsockPacket) -> Void) -> VsockPacket {
        var packet = self
        change(&packet)
        return packet
    }
}
