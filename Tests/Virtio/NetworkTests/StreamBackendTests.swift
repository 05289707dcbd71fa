// SPDX-License-Identifier: Apache-2.0

import Glibc
import Network
import SystemPackage
import TestSupport
import Testing

@Suite struct StreamBackendTests {
    private static func framed(_ bytes: [UInt8]) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: bytes.count >> (24 - 8 * $0)) } + bytes
    }

    @Test(arguments: [14, 60, 1514, 65_550])
    func `a frame follows its length, most significant byte first`(byteCount: Int) throws {
        var pair = try SocketPair(SOCK_STREAM)
        let backend = StreamBackend(adopting: try pair.take(), name: "test")
        let frame = HostFrame.bytes(byteCount)
        #expect(backend.send(frame) == .sent)
        #expect(backend.flush() == .sent)
        #expect(pair.read() == Self.framed(frame))
        pair.write(Self.framed(frame))
        let (result, received) = backend.receive()
        #expect(result == .frame(byteCount: byteCount))
        #expect(received == frame)
        #expect(backend.receive().0 == .empty)
    }

    @Test func `frames arrive whole, however the stream is cut`() throws {
        var pair = try SocketPair(SOCK_STREAM)
        let backend = StreamBackend(adopting: try pair.take(), name: "test")
        let frames = (1...5).map { HostFrame.bytes(100 * $0, seed: UInt8($0)) }
        var received: [[UInt8]] = []
        for byte in frames.flatMap(Self.framed) {
            pair.write([byte])
            let (result, bytes) = backend.receive()
            if case .frame = result { received.append(bytes) } else { #expect(result == .empty) }
        }
        #expect(received == frames)
    }

    @Test func `many frames that came at once are taken one by one`() throws {
        var pair = try SocketPair(SOCK_STREAM)
        let backend = StreamBackend(adopting: try pair.take(), name: "test")
        let frames = (0..<200).map { HostFrame.bytes(14 + $0 * 3, seed: UInt8($0)) }
        pair.write(frames.flatMap(Self.framed))
        for frame in frames { #expect(backend.receive().1 == frame) }
        #expect(backend.receive().0 == .empty)
    }

    @Test func `small frames leave together and in their order with larger ones`() throws {
        // Each call is a message of this socket.
        var pair = try SocketPair(SOCK_SEQPACKET)
        let backend = StreamBackend(adopting: try pair.take(), name: "test")
        let small = (0..<10).map { HostFrame.bytes(60 + $0, seed: UInt8($0)) }
        let large = HostFrame.bytes(9000)
        for frame in small + [large] + small { #expect(backend.send(frame) == .sent) }
        #expect(backend.flush() == .sent)
        #expect(pair.read() == small.flatMap(Self.framed))
        #expect(pair.read() == Self.framed(large))
        #expect(pair.read() == small.flatMap(Self.framed))
    }

    @Test(arguments: [60, 1514, 40_000])
    func `a reader that takes nothing has the guest wait before much is kept`(byteCount: Int) throws {
        var pair = try SocketPair(SOCK_STREAM, sendBuffer: 4096)
        let backend = StreamBackend(adopting: try pair.take(), name: "test")
        var sent = 0
        while sent < 10_000, backend.send(HostFrame.bytes(byteCount, seed: UInt8(truncatingIfNeeded: sent))) == .sent {
            sent += 1
        }
        #expect(sent < 10_000)
        var stream: [UInt8] = []
        repeat { stream += pair.read(10_000) } while backend.flush() == .full
        while case let bytes = pair.read(), !bytes.isEmpty { stream += bytes }
        let frames = (0..<sent).map { HostFrame.bytes(byteCount, seed: UInt8(truncatingIfNeeded: $0)) }
        #expect(stream == frames.flatMap(Self.framed))
    }

    @Test func `a frame of which the socket took a part is finished before the next one`() throws {
        var pair = try SocketPair(SOCK_STREAM, sendBuffer: 4096)
        let backend = StreamBackend(adopting: try pair.take(), name: "test")
        let frames = (0..<20).map { HostFrame.bytes(40_000 + $0, seed: UInt8($0)) }
        var stream: [UInt8] = []
        for frame in frames {
            // The guest's buffer goes back at once and changes: what is left of the frame must have been copied.
            while backend.send(frame) == .full { stream += pair.read(10_000) }
        }
        while backend.flush() == .full { stream += pair.read(10_000) }
        while case let bytes = pair.read(), !bytes.isEmpty { stream += bytes }
        #expect(stream == frames.flatMap(Self.framed))
    }

    @Test(arguments: [0, 65_551, UInt32.max])
    func `a length that no frame has ends the connection`(length: UInt32) throws {
        var pair = try SocketPair(SOCK_STREAM)
        let backend = StreamBackend(adopting: try pair.take(), name: "test")
        pair.write((0..<4).map { UInt8(truncatingIfNeeded: length >> UInt32(24 - 8 * $0)) } + [1, 2, 3])
        #expect(backend.receive().0 == .closed(.badFrameLength("test", length)))
        #expect(backend.receive().0 == .closed(.badFrameLength("test", length)))
    }

    @Test func `a runt and a frame without place are dropped, and the next one arrives`() throws {
        var pair = try SocketPair(SOCK_STREAM)
        let backend = StreamBackend(adopting: try pair.take(), name: "test")
        pair.write([[1], HostFrame.bytes(1600), HostFrame.bytes(60)].flatMap(Self.framed))
        #expect(backend.receive(place: 1514).0 == .dropped)
        #expect(backend.receive(place: 1514).0 == .dropped)
        #expect(backend.receive(place: 1514).1 == HostFrame.bytes(60))
    }

    @Test func `a peer that leaves is told of in both directions`() throws {
        var pair = try SocketPair(SOCK_STREAM)
        let backend = StreamBackend(adopting: try pair.take(), name: "test")
        pair.write(Self.framed(HostFrame.bytes(60)))
        pair.closePeer()
        #expect(backend.receive().1 == HostFrame.bytes(60))
        #expect(backend.receive().0 == .closed(.peerClosed("test")))
        #expect(backend.send(HostFrame.bytes(60)) == .closed(.peerClosed("test")))
        #expect(backend.flush() == .sent)
        #expect(backend.send(HostFrame.bytes(65_551)) == .dropped(.messageTooLong))
    }
}
