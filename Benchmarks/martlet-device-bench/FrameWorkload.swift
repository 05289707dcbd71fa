// SPDX-License-Identifier: Apache-2.0

import CBareFrames
import Devices
import Glibc
import GuestMemory
import Host
import Network
import SystemPackage
import TestSupport
import Virtio

/// Frames through the network device, and the same frames by bare system calls in C, in turns: processor time of this thread
/// for each frame.
///
/// A TAP must be up and nobody else's: `ip tuntap add tap9 mode tap; ip link set tap9 up`. Sent frames go to an address that
/// nobody has.
struct FrameWorkload {
    enum Kind: String {
        case tapSend = "tap-send"
        case tapReceive = "tap-receive"
        case streamSend = "stream-send"
    }

    let kind: Kind
    let interface: String
    let byteCount: Int
    let seconds: Double

    /// The frames of one turn: fewer than a TAP's queue or a virtqueue holds.
    private static let batch = 100
    private static let bufferCount = 250
    private static let bufferByteCount = 4096
    private static let headerByteCount = NetworkFrame.headerByteCount

    init?(_ arguments: ArraySlice<String>) {
        let fields = Array(arguments)
        guard let kind = Kind(rawValue: fields[0]), let byteCount = Int(fields[2]), 60...65_535 ~= byteCount,
            let seconds = Double(fields[3])
        else { return nil }
        (self.kind, interface, self.byteCount, self.seconds) = (kind, fields[1], byteCount, seconds)
    }

    /// Seconds for a frame.
    func measure() throws -> (device: Double, bare: Double) {
        var pair = try SocketPair(SOCK_STREAM)
        let connection: NetworkConnection
        if kind == .streamSend {
            // Room for a turn, so that neither waits for the reader.
            var size: CInt = 32 << 20
            let length = socklen_t(MemoryLayout<CInt>.size)
            try checked("SO_SNDBUFFORCE", unsafe setsockopt(pair.backendNumber, SOL_SOCKET, 32, &size, length))
            connection = NetworkConnection(backends: [StreamBackend(adopting: try pair.take(), name: "bench")])
        } else {
            connection = try NetworkAttachment.tap(interface).open()
        }
        let descriptor = connection.backends[0].descriptor.rawValue
        let device = try NetworkDevice(connection, address: .random(), hostFaults: GuestFaultLog(device: "network"))
        let memory = try GuestMemory(regions: [GuestMemoryRegion(start: 0, byteCount: 64 << 20)])
        let driver = try FakeDriver(device, memory: memory)
        return kind == .tapReceive
            ? try receive(device, driver, descriptor)
            : try send(device, driver, descriptor, peer: pair.peer)
    }

    // MARK: - Sending

    private func send(
        _ device: NetworkDevice,
        _ driver: FakeDriver,
        _ descriptor: CInt,
        peer: CInt
    ) throws -> (Double, Double) {
        let queue = driver.queues[1]
        queue.setInterrupts(areWanted: false)
        let header = try range(Self.headerByteCount, driver)
        let data = try range(byteCount, driver)
        try driver.memory.write(offloadHeader, at: header.address)
        try driver.memory.write(frame, at: data.address)
        let chains = try (0..<Self.batch).map { _ in try queue.prepare(readable: [header, data], writable: []) }
        // The same memory for both: how fast the kernel copies depends on where it lies.
        let (headerPlace, dataPlace) = unsafe (try place(header, driver), try place(data, driver))
        return try inTurns {
            for chain in chains { queue.submit(chain) }
            if queue.takeKick() { device.processQueue(1) }
            for _ in chains where queue.takeUsed() == nil { throw BenchFailure("a frame was not sent") }
        } bare: {
            if kind == .tapSend {
                unsafe bare_tap_send(descriptor, headerPlace, dataPlace, byteCount, CInt(Self.batch))
            } else {
                unsafe bare_stream_send(descriptor, dataPlace, byteCount, CInt(Self.batch))
            }
        } between: {
            if kind == .streamSend { bare_drain(peer) }
        }
    }

    // MARK: - Receiving

    private func receive(
        _ device: NetworkDevice,
        _ driver: FakeDriver,
        _ descriptor: CInt
    ) throws -> (Double, Double) {
        let queue = driver.queues[0]
        queue.setInterrupts(areWanted: false)
        let buffers = try range(Self.bufferCount * Self.bufferByteCount, driver)
        for index in 0..<Self.bufferCount {
            let address = GuestAddress(rawValue: buffers.address.rawValue + UInt64(index * Self.bufferByteCount))
            let buffer = GuestRange(address: address, byteCount: UInt32(Self.bufferByteCount))
            queue.submit(try queue.prepare(readable: [], writable: [buffer]))
        }
        if queue.takeKick() { device.processQueue(0) }
        let packets = unsafe bare_packet_socket(interface)
        guard packets >= 0 else { throw BenchFailure("no packet socket for \(interface)") }
        defer { close(packets) }
        let places = unsafe try place(buffers, driver)
        let placeCount = CInt(Self.bufferCount - 65_536 / Self.bufferByteCount)
        var (sent, count) = (frame, 0)
        // An interface drops what is sent before the kernel has seen that it is up.
        try Deadline.wait(for: "a frame from \(interface)") {
            unsafe bare_packet_send(packets, &sent, byteCount, 1)
            return unsafe bare_tap_receive(descriptor, places, Self.bufferByteCount, placeCount) > 0
        }
        return try inTurns {
            device.processQueue(0)
            count = 0
            while let used = queue.takeUsed() {
                count += 1
                queue.submit(head: UInt16(used.head))
            }
            if queue.takeKick() { device.processQueue(0) }
            // The host's own frames, of IPv6 for one, come in addition.
            guard count >= Self.batch else { throw BenchFailure("\(count) of \(Self.batch) frames came") }
        } bare: {
            unsafe bare_tap_receive(descriptor, places, Self.bufferByteCount, placeCount)
        } between: {
            unsafe bare_packet_send(packets, &sent, byteCount, CInt(Self.batch))
        }
    }

    // MARK: - Measuring

    /// Calls both again and again, and `between` before each of them, whose time does not count.
    private func inTurns(
        device: () throws -> Void,
        bare: () throws -> Void,
        between: () -> Void
    ) throws -> (Double, Double) {
        func time(_ body: () throws -> Void) rethrows -> Double {
            between()
            let start = bare_processor_time()
            try body()
            return bare_processor_time() - start
        }
        var (deviceTimes, bareTimes): ([Double], [Double]) = ([], [])
        let end = ContinuousClock.now + .seconds(seconds)
        while ContinuousClock.now < end {
            deviceTimes.append(try time(device))
            bareTimes.append(try time(bare))
        }
        // An interrupt in a turn makes it ten times as long: the median leaves those out on both sides.
        func median(_ times: [Double]) -> Double { times.sorted()[times.count / 2] / Double(Self.batch) }
        return (median(deviceTimes), median(bareTimes))
    }

    private func range(_ byteCount: Int, _ driver: FakeDriver) throws -> GuestRange {
        GuestRange(address: try driver.allocator.allocate(byteCount, alignment: 4096), byteCount: UInt32(byteCount))
    }

    /// The place of a range in this process.
    @unsafe
    private func place(_ range: GuestRange, _ driver: FakeDriver) throws -> UnsafeMutableRawPointer? {
        var vectors: [HostVector] = unsafe []
        try unsafe driver.memory.appendHostVectors(of: range, to: &vectors)
        return unsafe vectors[0].iov_base
    }

    /// A large frame is to be cut by the host.
    private var offloadHeader: [UInt8] {
        let isLarge = byteCount > 1514 && kind == .tapSend
        return isLarge
            ? [1, 1, 54, 0, 0xa8, 5, 34, 0, 16, 0, 0, 0] : [UInt8](repeating: 0, count: Self.headerByteCount)
    }

    /// A frame of TCP over IPv4 to an address that nobody has.
    private var frame: [UInt8] {
        let size = byteCount - 14
        let addresses: [UInt8] = [2, 9, 9, 9, 9, 9, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 0]
        let internet: [UInt8] = [
            0x45, 0, UInt8(size >> 8), UInt8(truncatingIfNeeded: size), 0, 0, 0x40, 0, 64, 6, 0, 0,
        ]
        let transport: [UInt8] = [10, 88, 0, 2, 10, 88, 0, 1, 0x30, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10]
        let start = addresses + internet + transport
        return start + [UInt8](repeating: 0, count: byteCount - start.count)
    }
}

/// The reason for which nothing could be measured.
struct BenchFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
