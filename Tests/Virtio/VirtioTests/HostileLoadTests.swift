// SPDX-License-Identifier: Apache-2.0

import Devices
import Dispatch
import GuestMemory
import Host
import Storage
import SystemPackage
import TestSupport
import Testing
import Virtio

/// A driver that orders as much work as it can by one kick; what it costs its device is bounded.
///
/// Without the bounds each of these takes minutes, in which the device's lock is held.
@Suite(.timeLimit(.minutes(10))) struct HostileLoadTests {
    private static let memoryByteCount: UInt64 = 512 << 20

    /// Makes all 256 heads of a queue name one chain, of a header and as many descriptors as fit, and the status byte.
    private func submitEverywhere(_ driver: FakeDriver, kind: UInt32, segments: Int, byteCount: UInt32) throws {
        let header = GuestRange(address: try driver.allocator.allocate(16), byteCount: 16)
        try driver.memory.write(BlockFixture.header(kind, sector: 0), at: header.address)
        let rings = driver.queues[0].rings
        rings.setDescriptor(0, header, flags: 0, next: 1)
        let start = GuestAddress(rawValue: 16 << 20)
        for index in 1...UInt16(segments) {
            // All over guest memory, each over the one before.
            let address = GuestAddress(rawValue: start.rawValue + UInt64(index) * UInt64(byteCount) / 32)
            let range = GuestRange(address: address, byteCount: byteCount)
            rings.setDescriptor(index, range, flags: FakeRings.write, next: index == 255 ? nil : index + 1)
        }
        if segments < 255 {
            let status = GuestRange(address: try driver.allocator.allocate(1), byteCount: 1)
            rings.setDescriptor(UInt16(segments) + 1, status, flags: FakeRings.write, next: nil)
        }
        for _ in 0..<256 { driver.queues[0].submit(head: 0) }
    }

    private func makeMemory() throws -> GuestMemory {
        try GuestMemory(regions: [GuestMemoryRegion(start: 0, byteCount: Self.memoryByteCount)])
    }

    @Test(arguments: [UInt32(99), 0, 8])
    func `256 requests for nearly 4 GiB each are answered without a byte of them being written`(kind: UInt32) throws {
        let disk = try MemoryDisk(byteCount: 64 << 10)
        let device = try BlockDevice(
            disk: DiskProperties(byteCount: 64 << 10),
            engine: disk.makeEngine(),
            hostFaults: GuestFaultLog(device: "disk")
        )
        let driver = try FakeDriver(device, memory: try makeMemory())
        try submitEverywhere(driver, kind: kind, segments: 255, byteCount: (16 << 20) - 16)
        device.processQueue(0)
        while driver.queues[0].rings.usedIndex < 256 {
            for source in device.eventSources { source.handle() }
        }
        let isIdentity = kind == 8
        for _ in 0..<256 { #expect(driver.queues[0].takeUsed()?.byteCount == (isIdentity ? 20 : 0)) }
        #expect(device.statistics.bytesRead == 0)
        #expect(device.statistics.failures == (isIdentity ? 0 : 256))
        #expect(driver.interrupt.current.needsReset.isEmpty)
    }

    @Test(arguments: [StorageEngineKind.threads, .ioUring])
    func `a reset, a drain and a look at the counters do not wait for 64 GiB of reads`(kind: StorageEngineKind) throws {
        let folder = try TemporaryFolder()
        let path = FilePath(try folder.makeSparseFile("disk", byteCount: 8 << 30))
        let file = try DiskFile(path: path, isReadOnly: true, isDirect: false)
        let device = try BlockDevice(
            disk: DiskProperties(byteCount: file.byteCount),
            engine: try kind.makeEngine(for: file, capacity: BlockDevice.requestCapacity),
            hostFaults: GuestFaultLog(device: "disk")
        )
        let driver = try FakeDriver(device, memory: try makeMemory())
        try submitEverywhere(driver, kind: 0, segments: 254, byteCount: 1 << 20)
        let kick = try EventFD()
        let sources = [EventLoop.Source(kick.descriptor) { device.processQueue(0) }] + device.eventSources
        let loop = try EventLoop("test disk", sources: sources)
        try loop.start()
        kick.signal()
        try Deadline.wait(for: "the first read") { device.statistics.reads > 0 }
        let standing = DispatchGroup()
        loop.pause(joining: standing)
        standing.wait()
        device.drain(.guestMemory)
        let count = device.statistics.reads
        #expect(count < 256, "the rest of what was ordered waits in the virtqueue")
        #expect(device.server.serverState.queues[0]?.nextAvailable == UInt16(count))
        loop.resume()
        try Deadline.wait(for: "more of them") { device.statistics.reads > count }
        loop.stop()
        device.reset()
        #expect(device.statistics.reads < 256)
        #expect(device.statistics.failures == 0)
    }
}
