// SPDX-License-Identifier: Apache-2.0

import JSON
import MachineModel
import Network
import TestSupport
import Testing

@testable import Metadata

/// The host that a guest sees at the service's address, frame by frame.
@Suite struct MetadataNetworkTests {
    private static let get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"

    @Test func `a question for the service's hardware address is answered, others go on to the network`() throws {
        let guest = try MetadataGuest()
        let question: [UInt8] =
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] + MetadataGuest.hardwareAddress
            + [8, 6, 0, 1, 8, 0, 6, 4, 0, 1] + MetadataGuest.hardwareAddress + MetadataGuest.address.bytes
            + [0, 0, 0, 0, 0, 0]
        #expect(guest.send(question + MetadataGuest.service.bytes) == .sent)
        let answer = try #require(guest.receive())
        #expect(Array(answer[..<14]) == MetadataGuest.hardwareAddress + MetadataNetwork.hardwareAddress + [8, 6])
        #expect(Array(answer[20..<32]) == [0, 2] + MetadataNetwork.hardwareAddress + MetadataGuest.service.bytes)
        #expect(guest.receive() == nil)
        #expect(guest.send(question + [10, 88, 0, 1]) == .sent)
        #expect(guest.receive() == nil)
        #expect(guest.pair.read(100) == question + [10, 88, 0, 1])
    }

    @Test(arguments: [0, 1, 1460, 2920, 40_000])
    func `a request is answered, however many segments that takes`(byteCount: Int) throws {
        let guest = try MetadataGuest()
        let text = String(repeating: "x", count: byteCount)
        try guest.metadata.replace(by: ["a": .string(text)])
        var connection = try #require(guest.connect(window: 5000))
        for _ in 0..<3 {
            let answer = guest.ask(Self.get, on: &connection)
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n") && answer.hasSuffix("\r\n\r\n" + text))
        }
        connection.flags = [.fin, .ack]
        let last = guest.exchange(connection)
        #expect(last.last?.flags == [.fin, .ack])
        connection.sequence &+= 1
        connection.acknowledgement &+= 1
        connection.flags = .ack
        #expect(guest.exchange(connection).isEmpty)
        #expect(guest.metadata.statistics.connectionsDestroyed == 1)
    }

    @Test func `a request may come in pieces, twice, and with others behind it`() throws {
        let guest = try MetadataGuest()
        try guest.metadata.replace(by: ["a": "b"])
        var connection = try #require(guest.connect())
        let (first, second) = (Self.get.prefix(7), Self.get.dropFirst(7))
        #expect(guest.ask(String(first), on: &connection).isEmpty)
        // Sent again, as after a lost acknowledgement.
        connection.sequence &-= UInt32(first.utf8.count)
        #expect(guest.ask(String(first), on: &connection).isEmpty)
        let answer = guest.ask(String(second) + Self.get, on: &connection)
        #expect(answer.split(separator: "HTTP/1.1 200 OK").count == 2)
    }

    @Test func `what the guest lost is sent again when it repeats its acknowledgement`() throws {
        let guest = try MetadataGuest()
        try guest.metadata.replace(by: ["a": .string(String(repeating: "x", count: 3000))])
        var connection = try #require(guest.connect())
        connection.payload = Array(Self.get.utf8)
        let sent = guest.exchange(connection)
        connection.sequence &+= UInt32(connection.payload.count)
        connection.payload = []
        var again: [TCPSegment] = []
        for _ in 0..<3 { again += guest.exchange(connection) }
        #expect(sent.count > 2 && again.map(\.payload) == sent.map(\.payload))
    }

    @Test(arguments: [
        "GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsome body",
        "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
        "nonsense\r\n\r\n", "GET /a HTTP/1.1\r\n\r\n",
    ])
    func `what is no request is refused at once, and the connection ends`(text: String) throws {
        let guest = try MetadataGuest()
        try guest.metadata.replace(by: ["a": "b"])
        var connection = try #require(guest.connect())
        let answer = guest.ask(text, on: &connection)
        #expect(answer.hasPrefix("HTTP/1.1 400 Bad Request\r\n") && answer.contains("Invalid request"))
        connection.flags = [.fin, .ack]
        guest.exchange(connection)
        #expect(guest.metadata.statistics.connectionsDestroyed == 1)
    }

    @Test func `another port and an unknown connection are refused`() throws {
        let guest = try MetadataGuest()
        let refused = guest.exchange(guest.segment(to: 443, .syn))
        #expect(refused.map(\.flags) == [[.rst, .ack]] && refused[0].acknowledgement == 1001)
        var segment = guest.segment(.ack)
        segment.acknowledgement = 77
        let unknown = guest.exchange(segment)
        #expect(unknown.map(\.flags) == [.rst] && unknown[0].sequence == 77)
        #expect(guest.exchange(guest.segment(.rst)).isEmpty)
    }

    @Test func `more connections than there is place for take that of the one that is idle longest`() throws {
        let guest = try MetadataGuest()
        try guest.metadata.replace(by: ["a": "b"])
        var first = try #require(guest.connect(from: 1))
        for port in 2...30 { _ = try #require(guest.connect(from: UInt16(port))) }
        #expect(guest.ask(Self.get, on: &first).hasSuffix("b"))
        // That of port 2.
        _ = try #require(guest.connect(from: 31))
        #expect(guest.ask(Self.get, on: &first).hasSuffix("b"))
        #expect(guest.exchange(guest.segment(from: 2, .ack)).map(\.flags) == [.rst])
    }

    @Test func `a flood of refusals waits in a bounded place`() throws {
        let guest = try MetadataGuest()
        for port in 1...1000 {
            let frame = MetadataNetwork.hardwareAddress + MetadataGuest.hardwareAddress + [8, 0]
            #expect(guest.send(frame + guest.segment(from: UInt16(port), to: 81, .syn).packet) == .sent)
        }
        var count = 0
        while guest.receive() != nil { count += 1 }
        #expect(count == MetadataNetwork.resetMaximum)
    }

    @Test func `frames and segments of any content do no harm`() throws {
        let guest = try MetadataGuest()
        try guest.metadata.replace(by: ["a": .string(String(repeating: "x", count: 5000))])
        var generator = SeededGenerator(seed: 41)
        var connection = try #require(guest.connect())
        for _ in 0..<20_000 {
            var segment = connection
            segment.flags = TCPSegment.Flags(rawValue: .random(in: 0...31, using: &generator))
            if Bool.random(using: &generator) { segment.sourcePort = .random(in: 1...100, using: &generator) }
            if Bool.random(using: &generator) { segment.sequence = .random(in: 900...1200, using: &generator) }
            if Int.random(in: 0..<4, using: &generator) == 0 {
                segment.acknowledgement = .random(in: 0 ... .max, using: &generator)
            }
            segment.window = .random(in: 0 ... .max, using: &generator)
            segment.payload = Array(Self.get.utf8.prefix(.random(in: 0...40, using: &generator)))
            var packet = segment.packet
            for _ in 0..<Int.random(in: 0..<3, using: &generator) {
                packet[.random(in: 0..<packet.count, using: &generator)] = .random(in: 0...255, using: &generator)
            }
            packet.removeLast(.random(in: 0...min(3, packet.count), using: &generator))
            _ = guest.send(MetadataNetwork.hardwareAddress + MetadataGuest.hardwareAddress + [8, 0] + packet)
            for _ in 0..<Int.random(in: 0..<4, using: &generator) { _ = guest.receive() }
        }
        var count = 0
        while guest.receive() != nil, count < 100_000 { count += 1 }
        #expect(count < 100_000)
        connection = try #require(guest.connect(from: 50_000))
        #expect(guest.ask(Self.get, on: &connection).hasPrefix("HTTP/1.1 200"))
    }
}
