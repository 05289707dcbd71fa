// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Synchronization
import TestSupport
import Testing
import Virtio

/// Bytes that all are 0xa5, until there are none.
private func countedSource(byteCount: Int = .max) -> EntropyDevice.RandomSource {
    let left = Atomic(byteCount)
    return { bytes in
        guard left.load(ordering: .relaxed) >= bytes.byteCount else { return false }
        left.wrappingSubtract(bytes.byteCount, ordering: .relaxed)
        for index in 0..<bytes.byteCount { bytes.storeBytes(of: 0xa5, toByteOffset: index, as: UInt8.self) }
        return true
    }
}

@Suite struct EntropyDeviceTests {
    @Test("it is an entropy device with one queue")
    func identity() throws {
        let device = try EntropyDevice()
        #expect(device.deviceID == 4)
        #expect(device.queueMaximumSizes == [256])
        #expect(device.features == [.version1, .ringIndirectDescriptors, .ringEventIndex])
    }

    @Test("it fills the whole of a buffer, wherever its descriptors are", arguments: FakeQueue.Layout.allCases)
    func fills(layout: FakeQueue.Layout) throws {
        let driver = try FakeDriver(try EntropyDevice(source: countedSource()))
        let reply = try driver.perform(writable: [1, 5000, 7], layout: layout)
        #expect(reply.usedByteCount == 5008)
        #expect(reply.bytes.allSatisfy { $0 == 0xa5 })
        #expect(driver.interrupt.current.usedBuffers == 1)
    }

    @Test("the kernel's bytes are other ones each time")
    func kernel() throws {
        let driver = try FakeDriver(try EntropyDevice())
        let replies = try (0..<2).map { _ in try driver.perform(writable: [64]) }
        #expect(replies[0].usedByteCount == 64)
        #expect(replies[0].bytes != replies[1].bytes)
        #expect(replies[0].bytes != [UInt8](repeating: 0, count: 64))
    }

    @Test("a request gets 64 KiB at most, and nothing is written behind them")
    func limit() throws {
        let driver = try FakeDriver(try EntropyDevice(source: countedSource()))
        let reply = try driver.perform(writable: [60_000, 60_000])
        #expect(reply.usedByteCount == 65536)
        #expect(reply.bytes[..<65536].allSatisfy { $0 == 0xa5 })
        #expect(reply.bytes[65536...].allSatisfy { $0 == 0 })
    }

    @Test("a readable part is left alone, and a request without a writable one gets nothing")
    func readable() throws {
        let driver = try FakeDriver(try EntropyDevice(source: countedSource()))
        #expect(try driver.perform(readable: [[1, 2, 3]], writable: [4]).usedByteCount == 4)
        #expect(try driver.perform(readable: [[1, 2, 3]]).usedByteCount == 0)
    }

    @Test("where the source fails, the used length says how much is random")
    func failure() throws {
        let driver = try FakeDriver(try EntropyDevice(source: countedSource(byteCount: 5000)))
        let reply = try driver.perform(writable: [4096, 4096])
        #expect(reply.usedByteCount == 4096)
        #expect(reply.bytes[4096...].allSatisfy { $0 == 0 })
        #expect(driver.interrupt.current.needsReset == [])
    }

    @Test("a batch takes one interrupt, and a kick without buffers none")
    func interrupts() throws {
        let device = try EntropyDevice(source: countedSource())
        let driver = try FakeDriver(device)
        let queue = driver.queues[0]
        device.processQueue(0)
        #expect(driver.interrupt.current.usedBuffers == 0)
        for _ in 0..<20 {
            let range = GuestRange(address: try driver.allocator.allocate(16), byteCount: 16)
            queue.submit(try queue.prepare(readable: [], writable: [range]))
        }
        device.processQueue(0)
        #expect(driver.interrupt.current.usedBuffers == 1)
        #expect(queue.rings.usedIndex == 20)
        device.processQueue(0)
        device.processQueue(1)
        #expect(driver.interrupt.current.usedBuffers == 1)
    }

    @Test("after a fault it asks for a reset once and does nothing until then; after it, it works")
    func reset() throws {
        let device = try EntropyDevice(source: countedSource())
        let driver = try FakeDriver(device)
        driver.queues[0].submit(head: 0xffff)
        for _ in 0..<3 { device.processQueue(0) }
        #expect(driver.interrupt.current.needsReset == [.badDescriptorIndex(0xffff)])
        #expect(driver.queues[0].rings.usedIndex == 0)
        try driver.reset()
        #expect(try driver.perform(writable: [16]).usedByteCount == 16)
        device.reset()
        device.processQueue(0)
        #expect(driver.interrupt.current.needsReset.count == 1)
    }

    @Test("it works with memory that has a hole, and with no optional features")
    func hole() throws {
        let memory = try GuestMemory(regions: [
            GuestMemoryRegion(start: 0, byteCount: 0x4000), GuestMemoryRegion(start: 0x10_0000, byteCount: 0x10000),
        ])
        let driver = try FakeDriver(
            try EntropyDevice(source: countedSource()),
            features: .version1,
            queueSizes: [4],
            memory: memory
        )
        #expect(try driver.perform(writable: [0x3000, 0x3000]).usedByteCount == 0x6000)
    }
}
