// SPDX-License-Identifier: Apache-2.0

import Devices
import Glibc
import GuestMemory
import Host
import Network
import Storage
import SystemPackage
import TestSupport
import Virtio

/// A network device in front of a socket, its driver, and the program at the socket's other end.
final class NetworkFixture {
    static let address = "02:00:00:00:00:15"
    static let headerByteCount = 12

    let device: NetworkDevice
    let driver: FakeDriver
    private var pair: SocketPair

    init(
        _ type: __socket_type = SOCK_SEQPACKET,
        features: VirtioFeatures? = nil,
        sendBuffer: CInt? = nil,
        receiveLimits: RateLimiter? = nil,
        sendLimits: RateLimiter? = nil,
        mtu: UInt16? = 1500
    ) throws {
        pair = try SocketPair(type, sendBuffer: sendBuffer)
        let end = try pair.take()
        let isStream = type == SOCK_STREAM
        let backend: any NetworkBackend =
            isStream ? StreamBackend(adopting: end, name: "test") : DatagramBackend(adopting: end, name: "test")
        device = try NetworkFixture.device(
            NetworkConnection(backends: [backend], mtu: mtu),
            receiveLimits: receiveLimits,
            sendLimits: sendLimits
        )
        driver = try FakeDriver(device, features: features)
    }

    static func device(
        _ connection: sending NetworkConnection,
        receiveLimits: RateLimiter? = nil,
        sendLimits: RateLimiter? = nil,
        log: RecordingLog? = nil,
        onProcessEnd: @escaping @Sendable () -> Void = {}
    ) throws -> NetworkDevice {
        guard let address = MACAddress(address) else { throw MissedDeadline("an address") }
        return try NetworkDevice(
            connection,
            address: address,
            receiveLimits: receiveLimits,
            sendLimits: sendLimits,
            hostFaults: log.map { GuestFaultLog(device: "network", logger: $0.logger) }
                ?? GuestFaultLog(device: "network"),
            onProcessEnd: onProcessEnd
        )
    }

    // MARK: - The driver

    /// Sends a frame of the guest's, with an empty header.
    @discardableResult
    func send(_ frame: [UInt8], header: [UInt8]? = nil) throws -> FakeDriver.Token {
        let header = header ?? [UInt8](repeating: 0, count: Self.headerByteCount)
        return try driver.request(readable: [header, frame], queue: 1)
    }

    /// Gives the device buffers for what arrives, and kicks.
    @discardableResult
    func giveBuffers(_ byteCounts: [UInt32]) throws -> [GuestRange] {
        let ranges = try byteCounts.map { GuestRange(address: try driver.allocator.allocate(Int($0)), byteCount: $0) }
        for range in ranges { driver.queues[0].submit(try driver.queues[0].prepare(readable: [], writable: [range])) }
        if driver.queues[0].takeKick() { device.processQueue(0) }
        return ranges
    }

    /// The used lengths of buffers that the device returned.
    func takeReceived() -> [UInt32] {
        var byteCounts: [UInt32] = []
        while let element = driver.queues[0].takeUsed() { byteCounts.append(element.byteCount) }
        return byteCounts
    }

    func bytes(_ range: GuestRange, _ count: Int) throws -> [UInt8] {
        try driver.memory.read(byteCount: count, at: range.address)
    }

    func configuration<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type, at offset: UInt64) -> T {
        device.configuration(type, at: offset)
    }

    // MARK: - The host

    /// Lets a frame arrive, and tells the device.
    func arrive(_ frame: [UInt8]) {
        put(frame)
        handleEvents()
    }

    /// Lets a frame arrive, of which the device's thread hears later.
    func put(_ frame: [UInt8]) { pair.write(frame) }

    /// A frame that the device has sent; empty where there is none.
    func takeSent() -> [UInt8] { pair.read() }

    func closePeer() { pair.closePeer() }

    func handleEvents() { device.handleEvents() }
}

extension VirtioDevice {
    /// Indicates whether an event waits for the device's thread.
    var hasEvents: Bool {
        eventSources.contains { source in
            var set = pollfd(fd: source.descriptor.rawValue, events: Int16(POLLIN), revents: 0)
            return unsafe poll(&set, 1, 0) == 1
        }
    }

    /// Reads a field of the configuration.
    func configuration<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type, at offset: UInt64) -> T {
        var value: T = 0
        unsafe withUnsafeMutableBytes(of: &value) { buffer in
            var span = unsafe MutableRawSpan(_unsafeBytes: buffer)
            readConfiguration(at: offset, into: &span)
        }
        return T(littleEndian: value)
    }
}

/// A back end in memory whose frames have a header, as those of a TAP.
final class HeaderBackend: NetworkBackend {
    let hasOffloadHeader = true
    private let event: EventFD
    private(set) var sent: [[UInt8]] = []
    var arrived: [[UInt8]] = []
    private(set) var offloads: [NetworkOffloads] = []

    init() throws { event = try EventFD() }

    var descriptor: FileDescriptor { event.descriptor }

    func setOffloads(_ offloads: NetworkOffloads) { self.offloads.append(offloads) }

    func send(_ frame: inout FrameVectors) -> NetworkSending {
        var bytes: [UInt8] = []
        frame.append(to: &bytes, from: 0)
        sent.append(bytes)
        return .sent
    }

    func flush() -> NetworkSending { .sent }

    func receive(into frame: inout FrameVectors) -> NetworkReceiving {
        guard !arrived.isEmpty else { return .empty }
        let bytes = arrived.removeFirst()
        unsafe bytes.withUnsafeBytes { unsafe frame.copy($0) }
        return .frame(byteCount: bytes.count)
    }
}
