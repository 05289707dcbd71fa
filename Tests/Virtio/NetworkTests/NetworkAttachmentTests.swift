// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import Network
import SystemPackage
import TestSupport
import Testing

@Suite struct NetworkAttachmentTests {
    private let folder: TemporaryFolder
    private let path: FilePath

    init() throws {
        folder = try TemporaryFolder()
        path = FilePath("\(folder.path)/network.sock")
    }

    @Test func `a stream socket is connected to by its path`() throws {
        let listener = try UnixSocket.listen(at: path)
        let connection = try NetworkAttachment.stream(path).open()
        let peer = try #require(try listener.accept())
        #expect(connection.backends[0].send(HostFrame.bytes(14)) == .sent)
        #expect(connection.backends[0].flush() == .sent)
        var bytes = [UInt8](repeating: 0, count: 100)
        #expect(try peer.receive(into: &bytes) == 18)
        #expect(connection.mtu == nil)
        #expect(connection.offloads == [])
    }

    @Test func `a program behind a socket of datagrams can answer`() throws {
        let server = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue), 0)
        defer { close(server) }
        let error = unsafe try UnixAddress(path).withSocketAddress { unsafe bind(server, $0, $1) }
        #expect(error == 0)
        let connection = try NetworkAttachment.datagrams(path).open()
        #expect(connection.backends[0].send(HostFrame.bytes(60)) == .sent)
        var bytes = [UInt8](repeating: 0, count: 100)
        var address = sockaddr_un()
        var size = socklen_t(MemoryLayout<sockaddr_un>.size)
        unsafe withUnsafeMutableBytes(of: &address) { address in
            guard let address = unsafe address.baseAddress?.assumingMemoryBound(to: sockaddr.self) else { return }
            #expect(unsafe recvfrom(server, &bytes, 100, 0, address, &size) == 60)
            #expect(unsafe sendto(server, bytes, 60, 0, address, size) == 60)
        }
        #expect(connection.backends[0].receive().1 == HostFrame.bytes(60))
    }

    @Test func `a path that nobody serves is refused by its name`() {
        for attachment in [NetworkAttachment.stream(path), .datagrams(path)] {
            #expect(throws: NetworkError.nobodyListens(path)) { try attachment.open() }
        }
    }

    @Test func `an inherited socket carries frames of its kind`() throws {
        for (type, header) in [(SOCK_STREAM, 4), (SOCK_DGRAM, 0)] {
            let pair = try SocketPair(type)
            let number = pair.backendNumber
            let connection = try NetworkAttachment.descriptors([number]).open()
            #expect(connection.backends[0].send(HostFrame.bytes(60)) == .sent)
            #expect(connection.backends[0].flush() == .sent)
            #expect(pair.read().count == 60 + header)
        }
    }

    @Test func `a descriptor that carries no frames is refused by its number`() throws {
        let pipe = try Pipe()
        defer {
            close(pipe.readEnd)
            close(pipe.writeEnd)
        }
        for (number, reason) in [(CInt(1), "standard streams"), (9999, "not open"), (pipe.readEnd, "TUNGETIFF")] {
            let error = #expect(throws: NetworkError.self) { try NetworkAttachment.descriptors([number]).open() }
            #expect(error.map { "\($0)".contains("descriptor \(number) carries no network frames") } == true)
            #expect(error.map { "\($0)".contains(reason) } == true, "\(String(describing: error))")
        }
    }

    @Test(arguments: ["", "a/b", "a b", "sixteen-letters."])
    func `a name that no interface has is refused`(name: String) {
        #expect(throws: NetworkError.badInterfaceName(name)) { try NetworkAttachment.tap(name).open() }
    }

    @Test func `an interface that does not exist is refused with the line that makes it`() {
        let error = #expect(throws: NetworkError.noInterface("martlet-none")) {
            try NetworkAttachment.tap("martlet-none").open()
        }
        #expect(error.map { "\($0)".contains("ip tuntap add martlet-none mode tap user $USER") } == true)
    }
}
