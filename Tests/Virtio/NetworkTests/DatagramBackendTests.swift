// SPDX-License-Identifier: Apache-2.0

import Glibc
import Network
import SystemPackage
import TestSupport
import Testing

@Suite struct DatagramBackendTests {
    private static let types = [SOCK_DGRAM.rawValue, SOCK_SEQPACKET.rawValue]

    @Test(arguments: types, [14, 1514, 65_550])
    func `each message is a frame`(type: UInt32, byteCount: Int) throws {
        var pair = try SocketPair(__socket_type(rawValue: type))
        let backend = DatagramBackend(adopting: try pair.take(), name: "test")
        let frame = HostFrame.bytes(byteCount)
        #expect(backend.send(frame) == .sent)
        #expect(pair.read() == frame)
        pair.write(frame)
        #expect(backend.receive().1 == frame)
        #expect(backend.receive().0 == .empty)
    }

    @Test(arguments: types)
    func `a frame that finds no place waits`(type: UInt32) throws {
        var pair = try SocketPair(__socket_type(rawValue: type), sendBuffer: 4096)
        let backend = DatagramBackend(adopting: try pair.take(), name: "test")
        var count = 0
        while backend.send(HostFrame.bytes(1000)) == .sent, count < 10_000 { count += 1 }
        #expect(backend.send(HostFrame.bytes(1000)) == .full)
        for _ in 0..<count { #expect(pair.read() == HostFrame.bytes(1000)) }
        #expect(backend.send(HostFrame.bytes(1000)) == .sent)
    }

    @Test func `messages that are no frames are dropped`() throws {
        var pair = try SocketPair(SOCK_DGRAM)
        let backend = DatagramBackend(adopting: try pair.take(), name: "test")
        for byteCount in [0, 13, 1600] { pair.write(HostFrame.bytes(byteCount)) }
        for _ in 0..<3 { #expect(backend.receive(place: 1514).0 == .dropped) }
        #expect(backend.send(HostFrame.bytes(65_551)) == .dropped(.messageTooLong))
    }

    @Test(arguments: types)
    func `a peer that leaves is told of`(type: UInt32) throws {
        var pair = try SocketPair(__socket_type(rawValue: type))
        let backend = DatagramBackend(adopting: try pair.take(), name: "test")
        pair.closePeer()
        #expect(backend.send(HostFrame.bytes(60)) == .closed(.peerClosed("test")))
    }
}
