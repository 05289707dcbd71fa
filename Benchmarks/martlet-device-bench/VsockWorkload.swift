// SPDX-License-Identifier: Apache-2.0

import Devices
import Glibc
import GuestMemory
import Host
import SystemPackage
import TestSupport
import Virtio

/// Bytes between a guest's port and a Unix socket through the vsock device, and between two Unix sockets through socat.
struct VsockWorkload {
    enum Direction: String {
        case fromGuest = "out"
        case toGuest = "in"
    }

    let direction: Direction
    let byteCount: Int

    private static let pieceByteCount = 65_536

    init?(_ arguments: ArraySlice<String>) {
        let fields = Array(arguments)
        guard let direction = Direction(rawValue: fields[0]), let count = Int(fields[1]), count > 0 else { return nil }
        (self.direction, byteCount) = (direction, count / Self.pieceByteCount * Self.pieceByteCount)
    }

    /// Seconds for all bytes.
    func measure() throws -> (device: Double, socat: Double, socatWithLargeBuffer: Double) {
        (try device(), try socat([]), try socat(["-b", "65536"]))
    }

    // MARK: - The device

    private func device() throws -> Double {
        let folder = try TemporaryFolder()
        let guest = try VsockGuest(FilePath("\(folder.path)/v.sock"))
        let program = try guest.connect()
        return try timed {
            switch direction {
            case .fromGuest:
                let count = byteCount
                let reader = try HostThread("reader") { Self.read(count, from: program) }
                try guest.send(byteCount, pieceByteCount: Self.pieceByteCount)
                reader.join()
            case .toGuest:
                let count = byteCount
                let writer = try HostThread("writer") { Self.write(count, to: program) }
                try guest.receive(byteCount)
                writer.join()
            }
        }
    }

    // MARK: - socat

    private func socat(_ options: [String]) throws -> Double {
        let folder = try TemporaryFolder()
        let (first, second) = ("\(folder.path)/first", "\(folder.path)/second")
        let listener = try UnixSocket.listen(at: FilePath(second))
        let relay = try ChildProcess(
            "/usr/bin/socat",
            options + ["UNIX-LISTEN:\(first)", "UNIX-CONNECT:\(second)"],
            descriptors: [.null, .null, .copy(2)]
        )
        defer { relay.end() }
        // Its name is there before it listens.
        var connection: UnixSocket?
        try Deadline.wait(for: "socat to listen") {
            connection = try? UnixSocket.connect(to: FilePath(first))
            return connection != nil
        }
        guard let writer = connection, !Poll.wait(for: listener.descriptor, .readable, timeout: .seconds(60)).isEmpty,
            let reader = try listener.accept()
        else { throw BenchFailure("socat does not connect") }
        reader.setBlocking(true)
        let count = byteCount
        return try timed {
            let thread = try HostThread("reader") { Self.read(count, from: reader) }
            Self.write(count, to: writer)
            thread.join()
        }
    }

    // MARK: - Programs

    private static func read(_ byteCount: Int, from socket: UnixSocket) {
        var (buffer, left) = ([UInt8](repeating: 0, count: 4 * pieceByteCount), byteCount)
        while left > 0, let count = try? socket.receive(into: &buffer), count > 0 { left -= count }
    }

    private static func write(_ byteCount: Int, to socket: UnixSocket) {
        let bytes = [UInt8](repeating: 7, count: pieceByteCount)
        var left = byteCount
        while left > 0, let count = try? socket.send(bytes[..<min(left, bytes.count)]) { left -= count }
    }

    private func timed(_ body: () throws -> Void) rethrows -> Double {
        let start = ContinuousClock.now
        try body()
        return (ContinuousClock.now - start) / .seconds(1)
    }
}

/// A vsock device, and a driver that keeps the rules of credit, as Linux does.
private final class VsockGuest {
    private static let cid: UInt64 = 3
    private static let port: UInt32 = 1024
    /// The room that Linux has for a connection.
    private static let bufferByteCount: UInt32 = 256 << 10

    private let path: FilePath
    private let device: VsockDevice
    private let driver: FakeDriver
    private let sources: [EventLoop.Source]
    private let events: EventSet
    /// The headers of the buffers for packets, by the heads of their chains.
    private var headers: [GuestAddress?] = Array(repeating: nil, count: 512)
    private var hostPort: UInt32 = 0
    private var receivedCount: UInt32 = 0
    private var toldCount: UInt32 = 0

    init(_ path: FilePath) throws {
        self.path = path
        device = try VsockDevice(guestCID: Self.cid, path: path, listener: try UnixSocket.listen(at: path))
        let memory = try GuestMemory(regions: [GuestMemoryRegion(start: 0, byteCount: 64 << 20)])
        driver = try FakeDriver(device, memory: memory)
        sources = device.eventSources
        events = try EventSet(sources.map(\.descriptor))
        for queue in driver.queues { queue.setInterrupts(areWanted: false) }
        // Of 4 KiB with the header apart, as those of Linux 6.1.
        for _ in 0..<85 {
            let header = try range(44)
            let chain = try driver.queues[0].prepare(readable: [], writable: [header, try range(4096)])
            headers[Int(chain.head)] = header.address
            driver.queues[0].submit(chain)
        }
        if driver.queues[0].takeKick() { device.processQueue(0) }
    }

    private func range(_ byteCount: Int) throws -> GuestRange {
        GuestRange(address: try driver.allocator.allocate(byteCount, alignment: 64), byteCount: UInt32(byteCount))
    }

    /// A program of the host with a connection to the guest.
    func connect() throws -> UnixSocket {
        let program = try UnixSocket.connect(to: path)
        _ = try program.send(Array("CONNECT \(Self.port)\n".utf8)[...])
        while hostPort == 0 { try takePackets { _, _ in } }
        let answer = try driver.queues[1].prepare(readable: [try header(.response)], writable: [])
        submit(answer)
        while driver.queues[1].takeUsed() == nil { handleEvents() }
        var buffer = [UInt8](repeating: 0, count: 64)
        guard try program.receive(into: &buffer) > 3 else { throw BenchFailure("no answer to CONNECT") }
        return program
    }

    /// Sends bytes to the program.
    func send(_ byteCount: Int, pieceByteCount: Int) throws {
        let packet = try header(.readWrite, byteCount: pieceByteCount)
        let chain = try driver.queues[1].prepare(readable: [packet, try range(pieceByteCount)], writable: [])
        var (sent, room, left): (UInt32, UInt32, Int) = (0, 65_536, byteCount)
        while left > 0 {
            if room >= UInt32(pieceByteCount) {
                submit(chain)
                while driver.queues[1].takeUsed() == nil { handleEvents() }
                sent &+= UInt32(pieceByteCount)
                left -= pieceByteCount
                room -= UInt32(pieceByteCount)
            }
            var isAnswered = false
            try takePackets { buffer, forwarded in
                isAnswered = true
                room = buffer &- (sent &- forwarded)
            }
            if !isAnswered, room < UInt32(pieceByteCount) { handleEvents(isWaiting: true) }
        }
    }

    /// Receives bytes from the program.
    func receive(_ byteCount: Int) throws {
        let update = try header(.creditUpdate)
        let chain = try driver.queues[1].prepare(readable: [update], writable: [])
        var left = byteCount
        while left > 0 {
            let before = receivedCount
            try takePackets { _, _ in }
            left -= Int(receivedCount &- before)
            if receivedCount &- toldCount > Self.bufferByteCount / 2 {
                toldCount = receivedCount
                try driver.memory.store(receivedCount, at: GuestAddress(rawValue: update.address.rawValue + 40))
                submit(chain)
                while driver.queues[1].takeUsed() == nil { handleEvents() }
            } else if receivedCount == before {
                handleEvents(isWaiting: true)
            }
        }
    }

    private func submit(_ chain: FakeQueue.PreparedChain) {
        driver.queues[1].submit(chain)
        if driver.queues[1].takeKick() { device.processQueue(1) }
    }

    /// Takes all packets of the device; `body` gets the room and the count of each.
    private func takePackets(_ body: (UInt32, UInt32) -> Void) throws {
        let queue = driver.queues[0]
        while let used = queue.takeUsed() {
            guard let header = headers[Int(used.head)] else { throw BenchFailure("an unknown buffer") }
            if hostPort == 0 { hostPort = try field(header, 16) }
            receivedCount &+= used.byteCount - 44
            body(try field(header, 36), try field(header, 40))
            queue.submit(head: UInt16(used.head))
        }
        if queue.takeKick() { device.processQueue(0) }
        if hostPort == 0 { handleEvents() }
    }

    private func field(_ header: GuestAddress, _ offset: UInt64) throws -> UInt32 {
        try driver.memory.load(UInt32.self, at: GuestAddress(rawValue: header.rawValue + offset))
    }

    private func handleEvents(isWaiting: Bool = false) {
        let ready = isWaiting ? events.wait() : .max
        for index in sources.indices where ready & 1 << UInt64(index) != 0 { sources[index].handle() }
    }

    private func header(_ operation: VsockPacket.Operation, byteCount: Int = 0) throws -> GuestRange {
        let place = try range(44)
        func put<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, _ offset: UInt64) throws {
            try driver.memory.store(value, at: GuestAddress(rawValue: place.address.rawValue + offset))
        }
        try put(Self.cid, 0)
        try put(VsockPacket.hostCID, 8)
        try put(Self.port, 16)
        try put(hostPort, 20)
        try put(UInt32(byteCount), 24)
        try put(VsockPacket.streamType, 28)
        try put(operation.rawValue, 30)
        try put(Self.bufferByteCount, 36)
        return place
    }
}
