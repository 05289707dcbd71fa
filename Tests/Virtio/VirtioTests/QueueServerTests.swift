// SPDX-License-Identifier: Apache-2.0

import Glibc
import GuestMemory
import Host
import MachineModel
import Storage
import SystemPackage
import TestSupport
import Testing
import Virtio

/// Tests of the server of virtqueues, with a device that sends and receives frames.
@Suite struct QueueServerTests {
    private let device: FrameDevice
    private let driver: FakeDriver

    init() throws {
        device = try FrameDevice()
        driver = try FakeDriver(device)
    }

    /// Gives the device buffers for what arrives, and kicks.
    private func giveBuffers(_ byteCounts: [UInt32], _ driver: FakeDriver) throws -> [GuestRange] {
        let ranges = try byteCounts.map { GuestRange(address: try driver.allocator.allocate(Int($0)), byteCount: $0) }
        for range in ranges { driver.queues[0].submit(try driver.queues[0].prepare(readable: [], writable: [range])) }
        if driver.queues[0].takeKick() { driver.device.processQueue(0) }
        return ranges
    }

    private func takeUsed() -> [UInt32] {
        var byteCounts: [UInt32] = []
        while let element = driver.queues[0].takeUsed() { byteCounts.append(element.byteCount) }
        return byteCounts
    }

    private func handleEvents(of device: any VirtioDevice) {
        for source in device.eventSources {
            var set = pollfd(fd: source.descriptor.rawValue, events: Int16(POLLIN), revents: 0)
            if unsafe poll(&set, 1, 0) == 1 { source.handle() }
        }
    }

    private var nextAvailable: UInt16? { device.server.serverState.queues[0]?.nextAvailable }

    // MARK: - What arrives

    @Test func `a frame over several buffers is shown to the driver at once`() throws {
        let ranges = try giveBuffers([1000, 1000, 1000, 1000, 1000], driver)
        device.arrive(Array(repeating: 0xab, count: 2500))
        #expect(driver.queues[0].rings.usedIndex == 3)
        #expect(takeUsed() == [1000, 1000, 500])
        #expect(driver.interrupt.current.usedBuffers == 1)
        #expect(try driver.memory.read(byteCount: 2, at: ranges[0].address) == [3, 0xab])
        #expect(
            try driver.memory.load(UInt8.self, at: GuestAddress(rawValue: ranges[2].address.rawValue + 499)) == 0xab
        )
    }

    @Test func `without buffers a frame waits for the driver's kick`() throws {
        device.arrive([1, 2, 3])
        #expect(driver.queues[0].rings.usedIndex == 0)
        _ = try giveBuffers([2000], driver)
        #expect(driver.queues[0].rings.usedIndex == 0, "the largest frame would not fit")
        _ = try giveBuffers([2000, 2000], driver)
        #expect(takeUsed() == [3])
    }

    @Test func `a drain gives back what was taken ahead, and the device goes on with it`() throws {
        _ = try giveBuffers([2000, 2000, 2000, 2000], driver)
        device.arrive([1, 2, 3])
        #expect(nextAvailable == 3)
        device.drain(.everything)
        #expect(nextAvailable == 1, "the frame's buffer alone is taken")
        device.arrive([4, 5])
        handleEvents(of: device)
        #expect(takeUsed() == [3, 2])
    }

    @Test func `a driver whose buffers have no bytes to write has to reset the device`() throws {
        device.arrive([1])
        let range = GuestRange(address: try driver.allocator.allocate(8), byteCount: 8)
        driver.queues[0].submit(try driver.queues[0].prepare(readable: [range], writable: []))
        device.processQueue(0)
        #expect(driver.interrupt.current.needsReset.count == 1)
        #expect(device.server.serverState.isFaulty)
        try driver.reset()
        #expect(!device.server.serverState.isFaulty)
    }

    @Test func `where each frame needs one buffer, one that is too small is a fault`() throws {
        let device = try FrameDevice(needsOneBuffer: true)
        let driver = try FakeDriver(device)
        _ = try giveBuffers([4096], driver)
        device.arrive([1, 2])
        #expect(driver.queues[0].rings.usedIndex == 1)
        _ = try giveBuffers([4095], driver)
        device.arrive([1, 2])
        #expect(driver.interrupt.current.needsReset.count == 1)
    }

    @Test func `frames of any size go round and round through the same buffers`() throws {
        let queue = driver.queues[0]
        for _ in 0..<8 {
            let range = GuestRange(address: try driver.allocator.allocate(600), byteCount: 600)
            queue.submit(try queue.prepare(readable: [], writable: [range]))
        }
        for round in 0..<200 {
            let byteCount = 1 + round * 37 % 4096
            device.arrive([UInt8](repeating: UInt8(truncatingIfNeeded: round), count: byteCount))
            var byteCounts: [Int] = []
            while let element = queue.takeUsed() {
                byteCounts.append(Int(element.byteCount))
                queue.submit(head: UInt16(element.head))
            }
            #expect(byteCounts.count == (byteCount + 599) / 600)
            #expect(byteCounts.reduce(0, +) == byteCount)
        }
        #expect(driver.interrupt.current.needsReset.isEmpty)
    }

    // MARK: - What must wait

    @Test func `a chain that is blocked keeps its place until something happens`() throws {
        device.setRoom(1)
        for byte in UInt8(1)...4 { _ = try driver.request(readable: [[byte]], queue: 1) }
        #expect(device.sent == [[1]])
        device.setRoom(2)
        #expect(device.sent == [[1], [2], [3]])
        device.setRoom(.max)
        #expect(device.sent == [[1], [2], [3], [4]])
        #expect(driver.queues[1].rings.usedIndex == 4)
    }

    @Test func `a drain puts a blocked chain back into its virtqueue`() throws {
        device.setRoom(0)
        _ = try driver.request(readable: [[1]], queue: 1)
        #expect(device.server.serverState.queues[1]?.nextAvailable == 1)
        device.drain(.everything)
        #expect(device.server.serverState.queues[1]?.nextAvailable == 0)
        device.setRoom(1)
        #expect(device.sent == [[1]])
    }

    @Test func `each direction has its own limit`() throws {
        let none = RateLimiter(RateLimit(bytes: nil, operations: .init(capacity: 1, refillMilliseconds: 3_600_000)))
        let device = try FrameDevice(limiters: [nil, none])
        let driver = try FakeDriver(device)
        for byte in UInt8(1)...3 { _ = try driver.request(readable: [[byte]], queue: 1) }
        #expect(device.sent == [[1]])
        _ = try giveBuffers([4096], driver)
        device.arrive([1, 2])
        #expect(driver.queues[0].rings.usedIndex == 1)
    }

    // MARK: - Life

    @Test func `a device goes on from a state where another stopped`() throws {
        device.setRoom(1)
        for byte in UInt8(1)...3 { _ = try driver.request(readable: [[byte]], queue: 1) }
        device.drain(.everything)
        let state = device.server.serverState
        let other = try FrameDevice()
        other.connect(RecordingVirtioInterrupt())
        try other.activate(
            ActivationContext(
                memory: driver.memory,
                features: driver.features,
                queues: driver.queues.map(\.configuration),
                state: state
            )
        )
        #expect(other.server.serverState == state)
        other.processQueue(1)
        #expect(other.sent == [[2], [3]])
        #expect(driver.queues[1].rings.usedIndex == 3)
    }

    @Test func `a device refuses features of which one needs another`() throws {
        #expect(throws: FeatureRefusal("bit 1 depends on bit 0")) {
            try FakeDriver(try FrameDevice(), features: [.version1, .dependent])
        }
    }
}
