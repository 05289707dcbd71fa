// SPDX-License-Identifier: Apache-2.0

import Glibc
import GuestMemory
import Host
import MachineModel
import Network
import Storage
import Synchronization
import SystemPackage
import Testing
import TestSupport
import Virtio

@Suite struct NetworkDeviceTests {
    private final class Counter: Sendable {
        let value = Atomic<Int>(0)
    }

    private static func frame(_ byteCount: Int, _ seed: UInt8 = 1) -> [UInt8] {
        (0..<byteCount).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ Int(seed)) }
    }

    @Test func `the driver reads address, link and MTU in the configuration`() throws {
        let fixture = try NetworkFixture(mtu: 8935)
        #expect(fixture.device.deviceID == 1)
        #expect((0..<6).map { fixture.configuration(UInt8.self, at: $0) } == [2, 0, 0, 0, 0, 0x15])
        #expect(fixture.configuration(UInt16.self, at: 6) == 1)
        #expect(fixture.configuration(UInt16.self, at: 10) == 8935)
        #expect(
            fixture.device.features.isSuperset(of: [.networkMAC, .networkStatus, .networkMTU, .networkMergeableBuffers])
        )
        #expect(!(try NetworkFixture(mtu: nil)).device.features.contains(.networkMTU))
    }

    // MARK: - Sending

    @Test(arguments: [14, 60, 1514, 65_550])
    func `a frame of the guest leaves as it is, without its header`(byteCount: Int) throws {
        let fixture = try NetworkFixture()
        let token = try fixture.send(Self.frame(byteCount))
        #expect(fixture.takeSent() == Self.frame(byteCount))
        #expect(try fixture.driver.reply(to: token).usedByteCount == 0)
        #expect(fixture.device.statistics.sentPackets == 1)
        #expect(fixture.device.statistics.sentBytes == UInt64(byteCount))
    }

    @Test func `a header and frame may be cut anywhere`() throws {
        let fixture = try NetworkFixture()
        let bytes = [UInt8](repeating: 0, count: 12) + Self.frame(100)
        for layout in FakeQueue.Layout.allCases {
            for cuts in [[112], [1, 111], [12, 100], [5, 9, 98]] {
                var rest = bytes[...]
                let parts = cuts.map { count in
                    defer { rest = rest.dropFirst(count) }
                    return Array(rest.prefix(count))
                }
                _ = try fixture.driver.perform(readable: parts, layout: layout, queue: 1)
                #expect(fixture.takeSent() == Self.frame(100))
            }
        }
    }

    @Test func `what the host has no room for waits, and leaves in its order`() throws {
        let fixture = try NetworkFixture(sendBuffer: 4096)
        var tokens: [FakeDriver.Token] = []
        for seed in UInt8(0)..<60 { tokens.append(try fixture.send(Self.frame(1000, seed))) }
        #expect(fixture.driver.queues[1].rings.usedIndex < 60)
        var frames: [[UInt8]] = []
        while frames.count < 60 {
            let frame = fixture.takeSent()
            guard !frame.isEmpty else {
                fixture.handleEvents()
                continue
            }
            frames.append(frame)
        }
        #expect(frames == (UInt8(0)..<60).map { Self.frame(1000, $0) })
        for token in tokens { _ = try fixture.driver.reply(to: token) }
        #expect(fixture.device.statistics.sendBlocked > 0)
        #expect(fixture.device.statistics.sendFailures == 0)
    }

    // The system calls of a virtual processor and of a client's thread are few: neither may move frames.

    @Test func `whoever asks for the counters sends no frame that waits`() throws {
        let fixture = try NetworkFixture(sendBuffer: 4096)
        for seed in UInt8(0)..<60 { try fixture.send(Self.frame(1000, seed)) }
        while !fixture.takeSent().isEmpty {}
        #expect(fixture.device.statistics.sentPackets < 60)
        #expect(fixture.takeSent() == [])
        fixture.handleEvents()
        #expect(fixture.takeSent() != [])
    }

    @Test func `a driver that starts the device receives no frame before the device's thread runs`() throws {
        let fixture = try NetworkFixture()
        let driver = fixture.driver
        fixture.device.reset()
        try fixture.giveBuffers([2000])
        fixture.put(Self.frame(100))
        try fixture.device.accept(driver.features)
        try fixture.device.activate(
            ActivationContext(
                memory: driver.memory,
                features: driver.features,
                queues: driver.queues.map(\.configuration)
            )
        )
        #expect(fixture.takeReceived() == [])
        // The transport's kick.
        fixture.device.processQueue(0)
        #expect(fixture.takeReceived() == [112])
    }

    @Test(arguments: [0, 13, 65_551])
    func `a chain that is no frame goes back and nothing leaves`(byteCount: Int) throws {
        let fixture = try NetworkFixture()
        _ = try fixture.driver.perform(readable: [[UInt8](repeating: 0, count: 12 + byteCount)], queue: 1)
        _ = try fixture.driver.perform(readable: [[1]], writable: [3], queue: 1)
        #expect(fixture.takeSent() == [])
        #expect(fixture.device.statistics.malformedFrames == 2)
        try fixture.send(Self.frame(60))
        #expect(fixture.takeSent() == Self.frame(60))
    }

    // MARK: - Receiving

    @Test func `a frame arrives behind an empty header, in one interrupt`() throws {
        let fixture = try NetworkFixture()
        let ranges = try fixture.giveBuffers([1600, 1600])
        fixture.arrive(Self.frame(300))
        #expect(fixture.takeReceived() == [312])
        #expect(try fixture.bytes(ranges[0], 312) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0] + Self.frame(300))
        #expect(fixture.driver.interrupt.current.usedBuffers == 1)
        #expect(fixture.device.statistics.receivedPackets == 1)
        #expect(fixture.device.statistics.receivedBytes == 300)
    }

    @Test func `a frame over several buffers says how many, and is shown at once`() throws {
        let fixture = try NetworkFixture(mtu: nil)
        let ranges = try fixture.giveBuffers([UInt32](repeating: 4000, count: 20))
        fixture.arrive(Self.frame(9000))
        #expect(fixture.driver.queues[0].rings.usedIndex == 3)
        #expect(fixture.takeReceived() == [4000, 4000, 1012])
        #expect(try fixture.bytes(ranges[0], 12) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0])
        let bytes = try ranges[..<3].flatMap { try fixture.bytes($0, 4000) }
        #expect(Array(bytes[12..<9012]) == Self.frame(9000))
    }

    @Test func `without buffers frames wait in the host`() throws {
        let fixture = try NetworkFixture()
        for seed in UInt8(1)...5 { fixture.arrive(Self.frame(100, seed)) }
        #expect(fixture.driver.queues[0].rings.usedIndex == 0)
        #expect(fixture.device.statistics.missingReceiveBuffers > 0)
        let ranges = try fixture.giveBuffers([UInt32](repeating: 1600, count: 8))
        #expect(fixture.takeReceived() == [UInt32](repeating: 112, count: 5))
        for (index, range) in ranges.prefix(5).enumerated() {
            #expect(try fixture.bytes(range, 112).suffix(100) == Self.frame(100, UInt8(index + 1))[...])
        }
    }

    @Test func `a driver without mergeable buffers gets frames that fit into one`() throws {
        let fixture = try NetworkFixture(features: [.version1, .networkMAC])
        let ranges = try fixture.giveBuffers([1526, 1526])
        fixture.arrive(Self.frame(1515))
        #expect(fixture.takeReceived() == [])
        #expect(fixture.device.statistics.receiveFailures == 1)
        fixture.arrive(Self.frame(1514))
        #expect(fixture.takeReceived() == [1526])
        #expect(try fixture.bytes(ranges[0], 12)[10] == 1)
        try fixture.giveBuffers([100])
        fixture.arrive(Self.frame(60))
        fixture.arrive(Self.frame(60))
        #expect(fixture.driver.interrupt.current.needsReset.count == 1, "5.1.6.3.1: a buffer has 1526 bytes at least")
    }

    // MARK: - Offloads

    @Test func `a back end with headers gets and gives them whole`() throws {
        let backend = try HeaderBackend()
        nonisolated(unsafe) let connection = NetworkConnection(backends: [backend], mtu: 1500, offloads: .all)
        let device = try unsafe NetworkFixture.device(connection)
        let driver = try FakeDriver(device)
        let header: [UInt8] = [1, 1, 54, 0, 0xa8, 5, 34, 0, 16, 0, 0, 0]
        _ = try driver.perform(readable: [header, Self.frame(3000)], queue: 1)
        #expect(backend.sent == [header + Self.frame(3000)])
        let ranges = try (0..<40).map { _ in GuestRange(address: try driver.allocator.allocate(2000), byteCount: 2000) }
        for range in ranges { driver.queues[0].submit(try driver.queues[0].prepare(readable: [], writable: [range])) }
        backend.arrived = [header + Self.frame(3000)]
        device.processQueue(0)
        let received = try driver.memory.read(byteCount: 12, at: ranges[0].address)
        #expect(received == header[..<10] + [2, 0])
        #expect(driver.queues[0].rings.usedIndex == 2)
        #expect(backend.offloads == [.all])
        try driver.reset()
        #expect(backend.offloads.last == .all)
    }

    @Test func `the back end is told what the driver accepted`() throws {
        let backend = try HeaderBackend()
        nonisolated(unsafe) let connection = NetworkConnection(backends: [backend], offloads: [.checksum, .tcp4])
        let device = try unsafe NetworkFixture.device(connection)
        _ = try FakeDriver(device, features: [.version1, .networkGuestChecksum])
        #expect(backend.offloads == [.checksum])
        #expect(!device.features.contains(.networkGuestTCP6))
    }

    @Test(
        arguments: [
            [.networkHostTCP4], [.networkGuestTCP6], [.networkChecksum, .networkHostCongestion],
            [.networkGuestChecksum, .networkGuestUDP4], [.networkHostUDP],
        ] as [VirtioFeatures]
    )
    func `features without those that they depend on are refused`(features: VirtioFeatures) throws {
        let backend = try HeaderBackend()
        nonisolated(unsafe) let connection = NetworkConnection(backends: [backend], offloads: .all)
        let device = try unsafe NetworkFixture.device(connection)
        #expect(throws: FeatureRefusal.self) { try FakeDriver(device, features: features.union(.version1)) }
    }

    // MARK: - Limits, links and life

    @Test func `each direction has its own limit`() throws {
        let one = RateLimiter(RateLimit(bytes: nil, operations: .init(capacity: 1, refillMilliseconds: 3_600_000)))
        let fixture = try NetworkFixture(receiveLimits: one, sendLimits: one)
        try fixture.giveBuffers([1600, 1600, 1600])
        for seed in UInt8(1)...3 {
            fixture.arrive(Self.frame(60, seed))
            try fixture.send(Self.frame(60, seed))
        }
        #expect(fixture.takeReceived() == [72])
        #expect(fixture.takeSent() == Self.frame(60, 1))
        #expect(fixture.takeSent() == [])
        fixture.device.setLimits(receive: .some(nil), send: .some(nil))
        fixture.handleEvents()
        fixture.handleEvents()
        #expect(fixture.takeSent() == Self.frame(60, 2))
        #expect(fixture.takeReceived() == [72, 72])
        #expect(fixture.device.statistics.receiveThrottled > 0)
        #expect(fixture.device.statistics.sendThrottled > 0)
    }

    @Test func `a large frame that a limit lets through delays what comes after it`() throws {
        let limits = RateLimiter(
            RateLimit(bytes: .init(capacity: 1000, refillMilliseconds: 3_600_000), operations: nil)
        )
        let fixture = try NetworkFixture(receiveLimits: limits)
        try fixture.giveBuffers([1600, 1600, 1600])
        fixture.arrive(Self.frame(1500))
        fixture.arrive(Self.frame(60))
        #expect(fixture.takeReceived() == [1512])
    }

    @Test(.enabled(if: NetworkNamespace.isUsable, "\(NetworkNamespace.reason)"))
    func `an interface that is deleted is told of once, also where the guest reads nothing`() throws {
        try NetworkNamespace.run {
            try NetworkNamespace.ip("tuntap add tap0 mode tap")
            try NetworkNamespace.ip("link set tap0 up")
            let log = RecordingLog()
            let device = try NetworkFixture.device(try NetworkAttachment.tap("tap0").open(), log: log)
            let driver = try FakeDriver(device)
            device.handleEvents()
            #expect(device.configuration(UInt16.self, at: 6) == 1)
            try NetworkNamespace.ip("link delete tap0")
            for _ in 0..<2 { device.handleEvents() }
            #expect(device.configuration(UInt16.self, at: 6) == 0)
            #expect(log.messages.count == 1)
            #expect(log.messages.first?.contains("its link is down from now on") == true)
            #expect(driver.interrupt.current.configurationChanges == 1)
        }
    }

    @Test func `the link ends once with the program at its other end, also where the guest reads nothing`() throws {
        var pair = try SocketPair(SOCK_STREAM)
        let backend = StreamBackend(adopting: try pair.take(), name: "test")
        let program = try ProcessLaunch("/bin/sleep", arguments: ["1000"]).start()
        let (log, ends) = (RecordingLog(), Counter())
        let connection = NetworkConnection(backends: [backend], process: program)
        let device = try NetworkFixture.device(connection, log: log) { ends.value.add(1, ordering: .relaxed) }
        let driver = try FakeDriver(device)
        device.handleEvents()
        #expect(device.configuration(UInt16.self, at: 6) == 1)
        try program.send(SIGKILL)
        #expect(program.waitUntilEnded(timeout: .seconds(60)))
        for _ in 0..<2 { device.handleEvents() }
        #expect(program.takeStatus() == 128 + SIGKILL)
        // The kernel has another event for the end of a zombie.
        device.handleEvents()
        #expect(device.configuration(UInt16.self, at: 6) == 0)
        #expect(log.messages.count == 1)
        #expect(log.messages.first?.contains("passt has ended: its link is down from now on") == true)
        #expect(ends.value.load(ordering: .relaxed) == 1)
        #expect(driver.interrupt.current.configurationChanges == 1)
        #expect(!device.hasEvents, "nothing may spin")
        withExtendedLifetime(pair) {}
    }

    @Test func `when the other end goes, the link goes down once and frames are dropped`() throws {
        let fixture = try NetworkFixture(SOCK_STREAM)
        try fixture.giveBuffers([1600, 1600])
        fixture.closePeer()
        fixture.handleEvents()
        #expect(fixture.configuration(UInt16.self, at: 6) == 0)
        #expect(fixture.driver.interrupt.current.configurationChanges == 1)
        for _ in 0..<3 {
            let token = try fixture.send(Self.frame(60))
            _ = try fixture.driver.reply(to: token)
        }
        #expect(fixture.device.statistics.sendFailures == 3)
        #expect(fixture.driver.interrupt.current.configurationChanges == 1)
        #expect(fixture.driver.interrupt.current.needsReset.isEmpty)
        fixture.handleEvents()
        #expect(!fixture.device.hasEvents, "nothing may spin")
    }

    @Test func `a frame with another sender than the guest's address is sent and counted`() throws {
        let fixture = try NetworkFixture()
        var frame = Self.frame(60)
        frame.replaceSubrange(6..<12, with: [2, 0, 0, 0, 0, 0x15])
        try fixture.send(frame)
        #expect(fixture.device.statistics.spoofedAddresses == 0)
        frame[11] = 0x16
        try fixture.send(frame)
        #expect(fixture.device.statistics.spoofedAddresses == 1)
        #expect(fixture.device.statistics.sentPackets == 2)
    }

    @Test func `a reset in the middle of a frame does not cut it`() throws {
        let fixture = try NetworkFixture(SOCK_STREAM, sendBuffer: 4096)
        for seed in UInt8(0)..<8 { try fixture.send(Self.frame(40_000, seed)) }
        try fixture.driver.reset()
        try fixture.send(Self.frame(100, 99))
        var stream: [UInt8] = []
        for _ in 0..<1000 {
            stream += fixture.takeSent()
            fixture.handleEvents()
        }
        var frames: [[UInt8]] = []
        while stream.count >= 4 {
            let count = stream[..<4].reduce(0) { $0 << 8 | Int($1) }
            try #require(stream.count >= 4 + count)
            frames.append(Array(stream[4..<4 + count]))
            stream.removeFirst(4 + count)
        }
        #expect(stream.isEmpty)
        #expect(frames.last == Self.frame(100, 99))
        for (index, frame) in frames.dropLast().enumerated() { #expect(frame == Self.frame(40_000, UInt8(index))) }
    }

    @Test func `a device goes on from a state where another stopped`() throws {
        let fixture = try NetworkFixture()
        try fixture.giveBuffers([UInt32](repeating: 1600, count: 8))
        fixture.arrive(Self.frame(60))
        fixture.device.drain(.everything)
        var pair = try SocketPair(SOCK_SEQPACKET)
        let backend = DatagramBackend(adopting: try pair.take(), name: "other")
        let other = try NetworkFixture.device(NetworkConnection(backends: [backend], mtu: 1500))
        other.connect(RecordingVirtioInterrupt())
        try other.activate(
            ActivationContext(
                memory: fixture.driver.memory,
                features: fixture.driver.features,
                queues: fixture.driver.queues.map(\.configuration),
                state: fixture.device.server.serverState
            )
        )
        pair.write(Self.frame(70))
        other.handleEvents()
        #expect(fixture.takeReceived() == [72, 82])
    }
}
