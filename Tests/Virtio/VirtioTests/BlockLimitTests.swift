// SPDX-License-Identifier: Apache-2.0

import Devices
import GuestMemory
import MachineModel
import Storage
import SystemPackage
import TestSupport
import Testing
import Virtio

/// The limits that a block device offers, and what it does with failed flushes (virtio 1.2, 5.2.4 and 5.2.6).
@Suite struct BlockLimitTests {
    private static let diskByteCount = 4 << 20

    private func makeFixture(features: VirtioFeatures? = nil, limits: RateLimiter? = nil) throws -> BlockFixture {
        try BlockFixture(features: features, limits: limits, diskByteCount: Self.diskByteCount)
    }

    // MARK: - Segments

    @Test func `a piece larger than size_max is an I/O error of a driver that knows it`() throws {
        let fixture = try makeFixture()
        let sizeMaximum = Int(fixture.configuration(UInt32.self, at: 8))
        #expect(try fixture.read(sizeMaximum, sector: 0).status == .ok)
        let answer = try fixture.read(sizeMaximum + 512, sector: 0)
        #expect(answer.status == .ioError)
        #expect(answer.usedByteCount == 0)
        let old = try makeFixture(features: .version1)
        #expect(try old.read(sizeMaximum + 512, sector: 0).status == .ok)
    }

    @Test func `as many pieces as are offered are read, and one more is an I/O error`() throws {
        let fixture = try makeFixture()
        let maximum = Int(fixture.configuration(UInt32.self, at: 12))
        func status(of count: Int) throws -> [UInt8] {
            let reply = try fixture.driver.perform(
                readable: [BlockFixture.header(.read)],
                writable: Array(repeating: 512, count: count - 1) + [512 + 1]
            )
            return Array(reply.bytes.suffix(1))
        }
        #expect(try status(of: maximum) == [0])
        // Header and 255 pieces, of which the last one has the status byte too.
        #expect(try status(of: maximum + 1) == [0])
    }

    // MARK: - Rate limits

    @Test func `a request that moves nothing takes no bytes of the limit`() throws {
        let limit = RateLimiter(
            RateLimit(bytes: .init(capacity: 512, refillMilliseconds: 3_600_000), operations: nil)
        )
        let fixture = try makeFixture(limits: limit)
        for _ in 0..<20 {
            #expect(try fixture.read(1 << 15, sector: 1 << 40).status == .ioError)
            #expect(
                try fixture.status(of: [BlockFixture.header(99, sector: 0)], writable: [1 << 15, 1]) == .unsupported
            )
        }
        #expect(fixture.device.statistics.throttled == 0)
        #expect(try fixture.read(512, sector: 0).status == .ok)
        _ = try fixture.driver.request(readable: [BlockFixture.header(.read)], writable: [512, 1])
        #expect(fixture.device.statistics.throttled == 1)
    }

    @Test func `another limit comes with the next event of the device's thread`() throws {
        let none = RateLimiter(
            RateLimit(bytes: nil, operations: .init(capacity: 1, refillMilliseconds: 3_600_000))
        )
        let fixture = try makeFixture(limits: none)
        #expect(try fixture.read(512, sector: 0).status == .ok)
        let token = try fixture.driver.request(readable: [BlockFixture.header(.read)], writable: [512, 1])
        #expect(fixture.device.statistics.throttled == 1)
        fixture.device.setLimits(nil)
        fixture.handleEvents()
        #expect(try fixture.driver.reply(to: token).bytes.last == 0)
    }

    // MARK: - Flushes

    @Test func `flushes that come while one is under way share the next one`() throws {
        let fixture = try makeFixture()
        fixture.disk.hold()
        let tokens = try (0..<8).map { _ in
            try fixture.driver.request(readable: [BlockFixture.header(.flush)], writable: [1])
        }
        fixture.disk.release()
        fixture.handleEvents()
        for token in tokens { #expect(try fixture.driver.reply(to: token).bytes == [0]) }
        #expect(fixture.disk.log == ["flush", "flush"])
        #expect(fixture.device.statistics.flushes == 8)
    }

    @Test func `a flush that fails fails all that were asked for by then, and no later one`() throws {
        let fixture = try makeFixture()
        fixture.disk.hold()
        let tokens = try (0..<3).map { _ in
            try fixture.driver.request(readable: [BlockFixture.header(.flush)], writable: [1])
        }
        fixture.disk.fail(with: .noSpace)
        fixture.disk.release()
        fixture.handleEvents()
        for token in tokens { #expect(try fixture.driver.reply(to: token).bytes == [1]) }
        fixture.disk.fail(with: nil)
        #expect(try fixture.status(of: [BlockFixture.header(.flush)]) == .ok)
    }

    @Test func `a failure that a reset kept from the driver is told by the next flush`() throws {
        let fixture = try makeFixture()
        fixture.disk.hold()
        _ = try fixture.driver.request(readable: [BlockFixture.header(.flush)], writable: [1])
        fixture.disk.fail(with: .ioError)
        try fixture.driver.reset()
        fixture.disk.fail(with: nil)
        fixture.disk.release()
        #expect(try fixture.status(of: [BlockFixture.header(.flush)]) == .ioError)
        #expect(try fixture.status(of: [BlockFixture.header(.flush)]) == .ok)
    }

    @Test func `the log says of a failed flush that it is one, and nothing of another request`() throws {
        let log = RecordingLog()
        let disk = try MemoryDisk(byteCount: 1 << 16)
        let device = try BlockDevice(
            disk: DiskProperties(byteCount: 1 << 16),
            engine: disk.makeEngine(),
            hostFaults: GuestFaultLog(device: "disk", logger: log.logger)
        )
        let driver = try FakeDriver(device)
        _ = try driver.perform(readable: [BlockFixture.header(.read, sector: 3)], writable: [4096, 1])
        disk.fail(with: .noSpace)
        _ = try driver.perform(readable: [BlockFixture.header(.flush)], writable: [1])
        #expect(log.messages == ["disk: flush: \(Errno.noSpace)"])
    }
}
