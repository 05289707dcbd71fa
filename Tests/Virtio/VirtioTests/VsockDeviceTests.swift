// SPDX-License-Identifier: Apache-2.0

import CHost
import Host
import SystemPackage
import TestSupport
import Testing
import Virtio

@Suite struct VsockDeviceTests {
    private let fixture: VsockFixture

    init() throws { fixture = try VsockFixture() }

    private static func bytes(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) } }

    @Test func `the driver reads its address in the configuration`() {
        #expect(fixture.device.deviceID == 19)
        #expect(fixture.device.queueMaximumSizes == [256, 256, 256])
        #expect(fixture.device.configuration(UInt64.self, at: 0) == 7)
    }

    // MARK: - Interrupts

    @Test func `the guest's packet is returned at once, and the interrupt for the answer tells of it`() throws {
        let (program, hostPort) = try fixture.connected(to: 22)
        fixture.driver.queues[0].setInterrupts(areWanted: true)
        let before = fixture.driver.interrupt.current.usedBuffers
        let returned = fixture.driver.queues[1].rings.usedIndex
        try fixture.send(.readWrite, from: 22, to: hostPort, data: Array("question".utf8), takesBack: false)
        #expect(fixture.driver.queues[1].rings.usedIndex == returned + 1)
        #expect(try program.read() == "question")
        #expect(fixture.driver.interrupt.current.usedBuffers == before)
        program.write("answer")
        try fixture.expect(.readWrite)
        #expect(fixture.driver.interrupt.current.usedBuffers == before + 1)
    }

    @Test func `a packet that has no answer is announced a little later`() throws {
        let (_, hostPort) = try fixture.connected(to: 22)
        let before = fixture.driver.interrupt.current.usedBuffers
        try fixture.send(.creditUpdate, from: 22, to: hostPort, takesBack: false)
        try Deadline.wait(for: "an interrupt") {
            fixture.device.handleEvents()
            return fixture.driver.interrupt.current.usedBuffers > before
        }
        #expect(fixture.driver.interrupt.current.usedBuffers == before + 1)
    }

    @Test func `a guest that sends many packets hears of them before it has no descriptors left`() throws {
        let (_, hostPort) = try fixture.connected(to: 22)
        let before = fixture.driver.interrupt.current.usedBuffers
        for _ in 0..<64 { try fixture.send(.creditUpdate, from: 22, to: hostPort, takesBack: false) }
        #expect(fixture.driver.interrupt.current.usedBuffers > before)
    }

    // MARK: - From the host

    @Test(arguments: ["CONNECT 22\n", "connect 22\n", "Connect  22\r\n"])
    func `a program connects to a port of the guest, in whatever case it writes`(line: String) throws {
        let program = try fixture.connect()
        program.write(line)
        let request = try fixture.expect(.request).packet
        #expect(request.sourceCID == 2)
        #expect(request.destinationCID == 7)
        #expect(request.destinationPort == 22)
        #expect(request.bufferByteCount == 65536)
        #expect(try program.read() == "")
        try fixture.send(.response, from: 22, to: request.sourcePort)
        #expect(try program.read() == "OK \(request.sourcePort)\n")
    }

    @Test func `a line that comes in pieces is as good as one, and what follows it is for the guest`() throws {
        let program = try fixture.connect()
        for byte in "CONNECT 1024\nhello".utf8 {
            program.write([byte])
            fixture.device.handleEvents()
        }
        let hostPort = try fixture.expect(.request).packet.sourcePort
        try fixture.send(.response, from: 1024, to: hostPort)
        #expect(try fixture.expect(.readWrite).data == Array("hello".utf8))
    }

    @Test(arguments: [
        "CONNECT\n", "CONNECT x\n", "CONNECT 4294967296\n", "CONNECT -1\n", "GET 1\n", "\n",
        "CONNECT 1                              \n",
    ])
    func `a line that makes no sense ends that connection without a byte`(line: String) throws {
        let program = try fixture.connect()
        program.write(line)
        #expect(try fixture.receive() == nil)
        #expect(try program.read() == nil)
        #expect(fixture.device.connectionCount == 0)
    }

    @Test func `where the guest refuses, the program's connection ends without a byte`() throws {
        let program = try fixture.connect()
        program.write("CONNECT 9\n")
        let hostPort = try fixture.expect(.request).packet.sourcePort
        try fixture.send(.reset, from: 9, to: hostPort)
        #expect(try program.read() == nil)
        #expect(try fixture.receive() == nil)
    }

    @Test func `a program that comes before the guest's driver is served when that is there`() throws {
        let fixture = try VsockFixture(givesBuffers: false)
        fixture.device.reset()
        let program = try fixture.connect()
        program.write("CONNECT 22\n")
        fixture.device.handleEvents()
        #expect(try program.read() == "")
        try fixture.driver.reset()
        try fixture.giveBuffers(4)
        let hostPort = try fixture.expect(.request).packet.sourcePort
        // Another driver is asked again.
        try fixture.driver.reset()
        try fixture.giveBuffers(4)
        #expect(try fixture.expect(.request).packet.sourcePort == hostPort)
        try fixture.send(.response, from: 22, to: hostPort)
        #expect(try program.read() == "OK \(hostPort)\n")
    }

    @Test func `a program that gives up is forgotten`() throws {
        var program: HostProgram? = try fixture.connect()
        program?.write("CONNECT 22\n")
        let hostPort = try fixture.expect(.request).packet.sourcePort
        program = nil
        #expect(try fixture.expect(.reset).packet.sourcePort == hostPort)
        #expect(fixture.device.connectionCount == 0)
        try fixture.send(.response, from: 22, to: hostPort)
        try fixture.expect(.reset)
    }

    @Test func `sockets are closed as soon as both sides are done, though the guest takes no packets`() throws {
        let fixture = try VsockFixture(givesBuffers: false)
        let program = try fixture.connect()
        program.write("CONNECT 22\n")
        fixture.device.handleEvents()
        #expect(fixture.device.connectionCount == 1)
        let listener = try UnixSocket.listen(at: FilePath("\(fixture.path)_8101"))
        for port in UInt32(1)...3 {
            try fixture.send(.request, from: port, to: 8101)
            let server = HostProgram(try #require(try listener.accept()))
            #expect(try server.read() == "")
            try fixture.send(.reset, from: port, to: 8101)
            #expect(try server.read() == nil)
        }
        // The one that waits does not lose its turn.
        try fixture.giveBuffers(4)
        try fixture.expect(.request)
    }

    // MARK: - From the guest

    @Test func `a port of the guest connects to the socket that has the host's port in its name`() throws {
        let listener = try UnixSocket.listen(at: FilePath("\(fixture.path)_8101"))
        try fixture.send(.request, from: 5000, to: 8101)
        let response = try fixture.expect(.response).packet
        #expect((response.sourcePort, response.destinationPort) == (8101, 5000))
        let program = HostProgram(try #require(try listener.accept()))
        try fixture.send(.readWrite, from: 5000, to: 8101, data: Self.bytes(3000))
        #expect(try program.readBytes() == Self.bytes(3000))
        program.write(Self.bytes(6000))
        #expect(try fixture.expect(.readWrite).data == Array(Self.bytes(6000)[..<4096]))
        #expect(try fixture.expect(.readWrite).data == Array(Self.bytes(6000)[4096...]))
    }

    @Test func `where nobody listens, the guest is told`() throws {
        try fixture.send(.request, from: 5000, to: 8101)
        #expect(try fixture.expect(.reset).packet.destinationPort == 5000)
        #expect(fixture.device.connectionCount == 0)
    }

    @Test func `a reset of what is unknown is not answered, everything else is`() throws {
        try fixture.send(.reset, from: 1, to: 2)
        #expect(try fixture.receive() == nil)
        for operation in [VsockPacket.Operation.response, .shutdown, .readWrite, .creditUpdate, .creditRequest] {
            try fixture.send(operation, from: 1, to: 2)
            try fixture.expect(.reset)
        }
    }

    // MARK: - Ends

    @Test func `each side can finish sending and go on receiving`() throws {
        let (program, hostPort) = try fixture.connected(to: 22)
        program.write("last")
        program.finish()
        #expect(try fixture.expect(.readWrite).data == Array("last".utf8))
        #expect(try fixture.expect(.shutdown).packet.flags == VsockPacket.Shutdown.send.rawValue)
        try fixture.send(.readWrite, from: 22, to: hostPort, data: Array("answer".utf8))
        #expect(try program.read() == "answer")
        try fixture.send(.shutdown, from: 22, to: hostPort) { $0.flags = VsockPacket.Shutdown.send.rawValue }
        #expect(try program.read() == nil)
        try fixture.send(.shutdown, from: 22, to: hostPort) { $0.flags = VsockPacket.Shutdown.both.rawValue }
        try fixture.expect(.reset)
        #expect(fixture.device.connectionCount == 0)
    }

    @Test func `a guest that has finished sending still gets what comes, and costs nothing until then`() throws {
        let (program, hostPort) = try fixture.connected(to: 22)
        try fixture.send(.readWrite, from: 22, to: hostPort, data: Array("question".utf8))
        try fixture.send(.shutdown, from: 22, to: hostPort) { $0.flags = VsockPacket.Shutdown.send.rawValue }
        #expect(try program.read() == "question")
        #expect(try program.read() == nil)
        // The first event is that of the shutdown; none comes of it.
        fixture.device.handleEvents()
        let source = try #require(fixture.device.eventSources.last)
        #expect(Poll.wait(for: source.descriptor, .readable, timeout: .zero).isEmpty)
        program.write("answer")
        #expect(try fixture.expect(.readWrite).data == Array("answer".utf8))
    }

    /// Sends from port 22 until the device has no room for more.
    private static func fill(_ fixture: VsockFixture, _ hostPort: UInt32) throws -> [UInt8] {
        var sent: [UInt8] = []
        var forwarded: UInt32 = 0
        while UInt32(sent.count) &- forwarded < 65536 {
            try fixture.send(.readWrite, from: 22, to: hostPort, data: bytes(4096))
            sent += bytes(4096)
            while let (packet, _) = try fixture.receive() { forwarded = packet.forwardedCount }
        }
        return sent
    }

    @Test func `what a guest sent before it closed arrives, however slow the reader is`() throws {
        let (program, hostPort) = try fixture.connected(to: 22)
        let sent = try Self.fill(fixture, hostPort)
        try fixture.send(.shutdown, from: 22, to: hostPort) { $0.flags = VsockPacket.Shutdown.both.rawValue }
        try fixture.expect(.reset)
        var received: [UInt8] = []
        while let bytes = try program.readBytes() {
            received += bytes
            fixture.device.handleEvents()
        }
        #expect(received == sent)
        #expect(fixture.device.connectionCount == 0)
    }

    @Test(.enabled(if: Sandbox.hasFilters, "a sanitizer makes calls of its own"))
    func `a vCPU's thread, on which a reset comes, ends connections with its own system calls`() async {
        await #expect(processExitsWith: .success) {
            let fixture = try VsockFixture()
            let (idle, _) = try fixture.connected(to: 21)
            let (program, hostPort) = try fixture.connected(to: 22)
            let sent = try Self.fill(fixture, hostPort)
            let device = fixture.device
            try callInSandbox(as: CInt(CHOST_VCPU)) { device.reset() }
            #expect(try idle.read() == nil)
            var received: [UInt8] = []
            while let bytes = try program.readBytes() {
                received += bytes
                device.handleEvents()
            }
            #expect(received == sent)
            #expect(device.connectionCount == 0)
        }
    }

    @Test func `a program that has gone altogether ends both directions`() throws {
        var (program, hostPort): (HostProgram?, UInt32) = try fixture.connected(to: 22)
        _ = program
        program = nil
        let shutdown = try fixture.expect(.shutdown).packet
        #expect(shutdown.flags == VsockPacket.Shutdown.both.rawValue)
        #expect(fixture.device.statistics.brokenPipes == 0)
        try fixture.send(.readWrite, from: 22, to: hostPort, data: [1])
        try fixture.expect(.reset)
        #expect(fixture.device.connectionCount == 0)
        #expect(fixture.device.statistics.brokenPipes == 1)
    }

    // MARK: - Credit

    @Test func `the guest is told of room again when half of the buffer has been passed on`() throws {
        let (program, hostPort) = try fixture.connected(to: 22)
        for _ in 0..<7 { try fixture.send(.readWrite, from: 22, to: hostPort, data: Self.bytes(4096)) }
        #expect(try fixture.receive() == nil)
        try fixture.send(.readWrite, from: 22, to: hostPort, data: Self.bytes(4096))
        #expect(try fixture.expect(.creditUpdate).packet.forwardedCount == 32768)
        try fixture.send(.creditRequest, from: 22, to: hostPort)
        try fixture.expect(.creditUpdate)
        _ = program
    }

    @Test func `the guest is told of all its room when what had to wait is written, however little that was`() throws {
        let (program, hostPort) = try fixture.connected(to: 22)
        var (sent, forwarded): (UInt32, UInt32) = (0, 0)
        while forwarded == sent {
            try fixture.send(.readWrite, from: 22, to: hostPort, data: Self.bytes(4096))
            sent += 4096
            try fixture.send(.creditRequest, from: 22, to: hostPort)
            forwarded = try fixture.expect(.creditUpdate).packet.forwardedCount
        }
        #expect(try fixture.receive() == nil)
        while try program.readBytes()?.isEmpty == false {}
        #expect(try fixture.expect(.creditUpdate).packet.forwardedCount == sent)
        #expect(try fixture.receive() == nil)
    }

    @Test func `a guest that sends more than there is room for loses that connection alone`() throws {
        let (program, hostPort) = try fixture.connected(to: 22)
        let (other, otherPort) = try fixture.connected(to: 23)
        var isReset = false
        for _ in 0..<200 where !isReset {
            try fixture.send(.readWrite, from: 22, to: hostPort, data: Self.bytes(8192))
            while let (packet, _) = try fixture.receive() {
                isReset = isReset || packet.operation == VsockPacket.Operation.reset.rawValue
            }
        }
        #expect(isReset)
        #expect(fixture.device.statistics.connectionsKilled == 1)
        try fixture.send(.readWrite, from: 23, to: otherPort, data: [5])
        #expect(try other.readBytes() == [5])
        _ = program
    }

    @Test func `the guest gets no more than it has room for`() throws {
        let (program, hostPort) = try fixture.connected(to: 22)
        try fixture.send(.creditUpdate, from: 22, to: hostPort) { $0.bufferByteCount = 1000 }
        program.write(Self.bytes(5000))
        #expect(try fixture.expect(.readWrite).data.count == 1000)
        try fixture.expect(.creditRequest)
        #expect(try fixture.receive() == nil)
        try fixture.send(.creditUpdate, from: 22, to: hostPort) { packet in
            packet.bufferByteCount = 1000
            packet.forwardedCount = 600
        }
        #expect(try fixture.expect(.readWrite).data.count == 600)
        // Numbers that make no sense are no room.
        try fixture.expect(.creditRequest)
        try fixture.send(.creditUpdate, from: 22, to: hostPort) { packet in
            packet.bufferByteCount = .max
            packet.forwardedCount = .max
        }
        _ = try fixture.receive()
        try fixture.send(.creditUpdate, from: 22, to: hostPort) { packet in
            packet.bufferByteCount = 0
            packet.forwardedCount = 1600
        }
        program.write(Self.bytes(10))
        while let (packet, _) = try fixture.receive() {
            #expect(packet.operation != VsockPacket.Operation.readWrite.rawValue)
        }
    }
}
