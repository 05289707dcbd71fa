// SPDX-License-Identifier: Apache-2.0

import Devices
import Glibc
import GuestMemory
import Host
import SystemPackage
import TestSupport
import Virtio

/// A vsock device, its driver, and programs of the host on its sockets.
final class VsockFixture {
    static let guestCID: UInt64 = 7

    let folder: TemporaryFolder
    let path: FilePath
    let device: VsockDevice
    let driver: FakeDriver
    private var buffers: [UInt16: GuestRange] = [:]

    init(givesBuffers: Bool = true, state: VirtioDeviceState? = nil) throws {
        folder = try TemporaryFolder()
        path = FilePath("\(folder.path)/v.sock")
        device = try VsockDevice(
            guestCID: Self.guestCID,
            path: path,
            listener: try UnixSocket.listen(at: path)
        )
        if let state { device.restore(state) }
        let memory = try GuestMemory(regions: [GuestMemoryRegion(start: 0, byteCount: 64 << 20)])
        driver = try FakeDriver(device, memory: memory)
        if givesBuffers { try giveBuffers(64) }
    }

    // MARK: - The guest

    /// Gives the device buffers for packets, as Linux 6.1 does: of 4 KiB, and the header apart.
    func giveBuffers(_ count: Int, byteCount: UInt32 = 4096) throws {
        for _ in 0..<count {
            let range = GuestRange(
                address: try driver.allocator.allocate(Int(44 + byteCount)),
                byteCount: 44 + byteCount
            )
            let header = GuestRange(address: range.address, byteCount: 44)
            let data = GuestRange(address: GuestAddress(rawValue: range.address.rawValue + 44), byteCount: byteCount)
            let chain = try driver.queues[0].prepare(readable: [], writable: [header, data])
            buffers[chain.head] = range
            driver.queues[0].submit(chain)
        }
        if driver.queues[0].takeKick() { device.processQueue(0) }
    }

    /// The next packet for the guest; its buffer is given back.
    func receive() throws -> (packet: VsockPacket, data: [UInt8])? {
        device.handleEvents()
        guard let used = driver.queues[0].takeUsed(), let range = buffers[UInt16(used.head)] else { return nil }
        let bytes = try driver.memory.read(byteCount: Int(used.byteCount), at: range.address)
        driver.queues[0].submit(head: UInt16(used.head))
        if driver.queues[0].takeKick() { device.processQueue(0) }
        return (VsockPacket(bytes), Array(bytes.dropFirst(44)))
    }

    /// The next packet, which must be of this kind.
    @discardableResult
    func expect(_ operation: VsockPacket.Operation) throws -> (packet: VsockPacket, data: [UInt8]) {
        guard let (packet, data) = try receive() else { throw MissedDeadline("a packet \(operation)") }
        guard packet.operation == operation.rawValue else {
            throw MissedDeadline("a packet \(operation), and operation \(packet.operation) came")
        }
        return (packet, data)
    }

    /// Sends a packet of the guest's, which takes the buffer back or else waits for an interrupt.
    func send(
        _ operation: VsockPacket.Operation,
        from guestPort: UInt32,
        to hostPort: UInt32,
        data: [UInt8] = [],
        takesBack: Bool = true,
        change: (inout VsockPacket) -> Void = { _ in }
    ) throws {
        var packet = VsockPacket()
        packet.sourceCID = Self.guestCID
        packet.destinationCID = 2
        packet.sourcePort = guestPort
        packet.destinationPort = hostPort
        packet.operation = operation.rawValue
        packet.byteCount = UInt32(data.count)
        packet.bufferByteCount = 256 << 10
        change(&packet)
        let readable = data.isEmpty ? [packet.bytes] : [packet.bytes, data]
        let token = try driver.request(readable: readable, queue: 1)
        if takesBack { _ = try driver.reply(to: token) }
    }

    // MARK: - The host

    /// A program of the host that has connected to the socket.
    func connect() throws -> HostProgram { HostProgram(try UnixSocket.connect(to: path)) }

    /// A program that has written `CONNECT port`, and whose connection the guest has taken.
    func connected(to guestPort: UInt32) throws -> (HostProgram, hostPort: UInt32) {
        let program = try connect()
        program.write("CONNECT \(guestPort)\n")
        let hostPort = try expect(.request).packet.sourcePort
        try send(.response, from: guestPort, to: hostPort)
        guard try program.read() == "OK \(hostPort)\n" else { throw MissedDeadline("OK") }
        return (program, hostPort)
    }
}

/// One end of a Unix socket.
final class HostProgram {
    let socket: UnixSocket

    init(_ socket: UnixSocket) {
        self.socket = socket
        socket.setBlocking(false)
    }

    func write(_ text: String) { write(Array(text.utf8)) }

    @discardableResult
    func write(_ bytes: [UInt8]) -> Int {
        unsafe send(socket.descriptor.rawValue, bytes, bytes.count, CInt(MSG_NOSIGNAL))
    }

    /// Reads what has come; nil at the end.
    func readBytes() throws -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        do throws(Errno) {
            let count = try socket.receive(into: &bytes)
            return count == 0 ? nil : Array(bytes.prefix(count))
        } catch {
            switch error {
            case .wouldBlock: return []
            // The device closed it with bytes that it had not read.
            case .connectionReset: return nil
            default: throw error
            }
        }
    }

    func read() throws -> String? { try readBytes().map { String(decoding: $0, as: UTF8.self) } }
    func finish() { socket.finishSending() }
}

extension VsockPacket {
    init(_ bytes: [UInt8]) {
        func value<T: FixedWidthInteger>(_ type: T.Type, _ offset: Int) -> T {
            (0..<T.bitWidth / 8).reduce(0) { $0 | T(bytes[offset + $1]) << T(8 * $1) }
        }
        self.init()
        sourceCID = value(UInt64.self, 0)
        destinationCID = value(UInt64.self, 8)
        sourcePort = value(UInt32.self, 16)
        destinationPort = value(UInt32.self, 20)
        byteCount = value(UInt32.self, 24)
        type = value(UInt16.self, 28)
        operation = value(UInt16.self, 30)
        flags = value(UInt32.self, 32)
        bufferByteCount = value(UInt32.self, 36)
        forwardedCount = value(UInt32.self, 40)
    }

    /// The 44 bytes, written on purpose not as the device does it.
    var bytes: [UInt8] {
        func little<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
            (0..<T.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> T(8 * $0)) }
        }
        let addresses = little(sourceCID) + little(destinationCID) + little(sourcePort) + little(destinationPort)
        return addresses + little(byteCount) + little(type) + little(operation) + little(flags)
            + little(bufferByteCount) + little(forwardedCount)
    }
}
