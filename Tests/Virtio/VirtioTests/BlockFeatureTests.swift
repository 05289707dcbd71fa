// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import MachineModel
import Storage
import SystemPackage
import TestSupport
import Testing
import Virtio

/// Features and configuration of block devices (virtio 1.2, 5.2.3 to 5.2.6).
@Suite struct BlockFeatureTests {
    private static let sector = [UInt8](repeating: 0x5a, count: 512)

    // MARK: - The configuration

    @Test func `the configuration has every field at its place`() throws {
        let fixture = try BlockFixture(queueCount: 3) { disk in
            disk.byteCount = 5 * 512 + 511
            (disk.logicalBlockByteCount, disk.physicalBlockByteCount) = (512, 4096)
            disk.optimalIOByteCount = 1 << 20
        }
        #expect(fixture.configuration(UInt64.self, at: 0) == 5)
        #expect(fixture.configuration(UInt32.self, at: 12) == 254)
        #expect(fixture.configuration(UInt32.self, at: 20) == 512)
        #expect(fixture.configuration(UInt8.self, at: 24) == 3)
        #expect(fixture.configuration(UInt8.self, at: 25) == 0)
        #expect(fixture.configuration(UInt16.self, at: 26) == 1)
        #expect(fixture.configuration(UInt32.self, at: 28) == 2048)
        #expect(fixture.configuration(UInt8.self, at: 32) == 1)
        #expect(fixture.configuration(UInt16.self, at: 34) == 3)
        #expect(fixture.configuration(UInt32.self, at: 36) > 0)
        #expect(fixture.configuration(UInt32.self, at: 40) == 32)
        #expect(fixture.configuration(UInt32.self, at: 44) == 8)
        #expect(fixture.configuration(UInt8.self, at: 56) == 1)
    }

    @Test(arguments: [60, 64, 1 << 32, UInt64.max - 3] as [UInt64])
    func `beyond its end the configuration is zero`(offset: UInt64) throws {
        #expect(try BlockFixture().configuration(UInt32.self, at: offset) == 0)
    }

    @Test func `only the writeback mode can be written`() throws {
        let fixture = try BlockFixture()
        for offset in UInt64(0)..<64 where offset != 32 {
            unsafe fixture.device.writeConfiguration(at: offset, from: [0xff].span.bytes)
        }
        unsafe fixture.device.writeConfiguration(at: 32, from: [0, 0].span.bytes)
        #expect(fixture.configuration(UInt64.self, at: 0) == 128)
        #expect(fixture.configuration(UInt8.self, at: 32) == 1)
    }

    // MARK: - Resize

    @Test func `a disk of another size is told by a configuration interrupt, and can be used at once`() throws {
        let fixture = try BlockFixture { $0.byteCount = 512 }
        #expect(try fixture.write(Self.sector, sector: 1) == .ioError)
        #expect(fixture.device.resize(toByteCount: 1024))
        #expect(fixture.driver.interrupt.current.configurationChanges == 1)
        #expect(fixture.configuration(UInt64.self, at: 0) == 2)
        #expect(try fixture.write(Self.sector, sector: 1) == .ok)
        #expect(fixture.device.resize(toByteCount: 512))
        #expect(try fixture.write(Self.sector, sector: 1) == .ioError)
    }

    @Test func `the same size again is no news`() throws {
        let fixture = try BlockFixture()
        #expect(!fixture.device.resize(toByteCount: UInt64(BlockFixture.byteCount) + 511))
        #expect(fixture.driver.interrupt.current.configurationChanges == 0)
    }

    // MARK: - Durability

    @Test func `a driver that flushes gets writes that may wait for it`() throws {
        let fixture = try BlockFixture()
        _ = try fixture.write(Self.sector, sector: 0)
        _ = try fixture.status(of: [BlockFixture.header(.flush)])
        #expect(fixture.disk.log == ["write(isDurable: false) 0+512", "flush"])
    }

    @Test func `a driver that cannot flush gets writes that are durable`() throws {
        let fixture = try BlockFixture(features: .version1)
        _ = try fixture.write(Self.sector, sector: 0)
        #expect(fixture.disk.log == ["write(isDurable: true) 0+512"])
        // And it has not the feature to change that.
        fixture.setWriteback(1)
        _ = try fixture.write(Self.sector, sector: 0)
        #expect(fixture.disk.log.last == "write(isDurable: true) 0+512")
    }

    @Test func `a driver that is offered no flushes gets writes that are complete when the host has them`() throws {
        let fixture = try BlockFixture { $0.canFlush = false }
        #expect(fixture.device.features.isDisjoint(with: [.blockFlush, .blockConfigurableWriteback]))
        fixture.setWriteback(0)
        _ = try fixture.write(Self.sector, sector: 0)
        #expect(fixture.disk.log == ["write(isDurable: false) 0+512"])
    }

    @Test func `a driver may turn the write cache off and on, and a reset turns it on`() throws {
        let fixture = try BlockFixture()
        fixture.setWriteback(0)
        #expect(fixture.configuration(UInt8.self, at: 32) == 0)
        _ = try fixture.write(Self.sector, sector: 0)
        fixture.setWriteback(1)
        _ = try fixture.write(Self.sector, sector: 0)
        #expect(fixture.disk.log == ["write(isDurable: true) 0+512", "write(isDurable: false) 0+512"])
        fixture.setWriteback(0)
        try fixture.driver.reset()
        #expect(fixture.configuration(UInt8.self, at: 32) == 1)
    }

    // MARK: - Discard and write zeroes

    @Test func `a discard gives every one of its ranges back`() throws {
        let fixture = try BlockFixture()
        let ranges = BlockFixture.range(sector: 8, count: 2) + BlockFixture.range(sector: 100, count: 28)
        #expect(try fixture.status(of: [BlockFixture.header(.discard), ranges]) == .ok)
        #expect(fixture.disk.log == ["discard 4096+1024", "discard 51200+14336"])
    }

    @Test func `zeroes are written, with or without the room for them`() throws {
        let fixture = try BlockFixture()
        _ = try fixture.write(Self.sector, sector: 1)
        let kept = BlockFixture.range(sector: 1, count: 1)
        let unmapped = BlockFixture.range(sector: 2, count: 1, flags: 1)
        #expect(try fixture.status(of: [BlockFixture.header(.writeZeroes), kept, unmapped]) == .ok)
        #expect(
            fixture.disk.log.dropFirst() == [
                "writeZeroes(mayUnmap: false) 512+512", "writeZeroes(mayUnmap: true) 1024+512",
            ]
        )
        #expect(fixture.disk.bytes.allSatisfy { $0 == 0 })
    }

    @Test func `ranges of nothing are fine, and so is no range at all`() throws {
        let fixture = try BlockFixture()
        #expect(try fixture.status(of: [BlockFixture.header(.discard)]) == .ok)
        let empty = BlockFixture.range(sector: 128, count: 0)
        #expect(try fixture.status(of: [BlockFixture.header(.discard), empty]) == .ok)
        #expect(fixture.disk.log.isEmpty)
    }

    @Test(arguments: [UInt32(1), 2, 0x8000_0000, .max])
    func `a discard with flags is unsupported, and none of its ranges is touched`(flags: UInt32) throws {
        let fixture = try BlockFixture()
        let ranges = BlockFixture.range(sector: 0, count: 1) + BlockFixture.range(sector: 1, count: 1, flags: flags)
        #expect(try fixture.status(of: [BlockFixture.header(.discard), ranges]) == .unsupported)
        #expect(fixture.disk.log.isEmpty)
    }

    @Test func `reserved flags of write-zeroes are unsupported`() throws {
        let fixture = try BlockFixture()
        let range = BlockFixture.range(sector: 0, count: 1, flags: 3)
        #expect(try fixture.status(of: [BlockFixture.header(.writeZeroes), range]) == .unsupported)
    }

    @Test(arguments: [(UInt64(127), UInt32(2)), (.max, 1), (129, 0), (0, .max)])
    func `a range beyond the end is an I/O error, and none is touched`(sector: UInt64, count: UInt32) throws {
        let fixture = try BlockFixture()
        let ranges = BlockFixture.range(sector: 0, count: 1) + BlockFixture.range(sector: sector, count: count)
        #expect(try fixture.status(of: [BlockFixture.header(.discard), ranges]) == .ioError)
        #expect(fixture.disk.log.isEmpty)
    }

    @Test func `half a range, and more ranges than are offered, are I/O errors`() throws {
        let fixture = try BlockFixture()
        let half = [UInt8](BlockFixture.range(sector: 0, count: 1).prefix(8))
        #expect(try fixture.status(of: [BlockFixture.header(.discard), half]) == .ioError)
        let many = (0..<33).flatMap { _ in BlockFixture.range(sector: 0, count: 1) }
        #expect(try fixture.status(of: [BlockFixture.header(.discard), many]) == .ioError)
        #expect(fixture.disk.log.isEmpty)
    }

    @Test func `a disk that cannot discard offers neither, and answers that it is unsupported`() throws {
        let fixture = try BlockFixture { $0.canDiscard = false }
        #expect(fixture.device.features.isDisjoint(with: [.blockDiscard, .blockWriteZeroes]))
        let range = BlockFixture.range(sector: 0, count: 1)
        for kind in [BlockFixture.Kind.discard, .writeZeroes] {
            #expect(try fixture.status(of: [BlockFixture.header(kind), range]) == .unsupported)
        }
    }

    @Test func `what the file system cannot do is unsupported, and the other ranges are left alone`() throws {
        let fixture = try BlockFixture()
        fixture.disk.fail(with: .notSupported)
        let ranges = BlockFixture.range(sector: 0, count: 1) + BlockFixture.range(sector: 1, count: 1)
        #expect(try fixture.status(of: [BlockFixture.header(.discard), ranges]) == .unsupported)
        #expect(fixture.disk.log.count == 1)
    }

    // MARK: - Rate limits

    @Test func `a limited disk holds requests back until the timer says so`() throws {
        let start = ContinuousClock.now
        let limit = RateLimiter(RateLimit(operationsPerSecond: 2))
        let fixture = try BlockFixture(limits: limit)
        let tokens = try (0..<4).map { _ in
            try fixture.driver.request(readable: [BlockFixture.header(.flush)], writable: [1])
        }
        let count = fixture.disk.log.count
        #expect(count <= 2 + Int((.now - start) / .milliseconds(500)))
        try Deadline.wait(for: "the fourth flush") {
            fixture.handleEvents()
            return fixture.disk.log.count == 4
        }
        for token in tokens { #expect(try fixture.driver.reply(to: token).bytes == [0]) }
    }

    @Test func `a reset forgets what the limit held back`() throws {
        let fixture = try BlockFixture(limits: RateLimiter(RateLimit(operationsPerSecond: 1)))
        for _ in 0..<3 { _ = try fixture.driver.request(readable: [BlockFixture.header(.flush)], writable: [1]) }
        fixture.device.reset()
        let before = fixture.disk.log.count
        try fixture.driver.reset()
        let token = try fixture.driver.request(readable: [BlockFixture.header(.flush)], writable: [1])
        try Deadline.wait(for: "the flush") {
            fixture.handleEvents()
            return fixture.disk.log.count == before + 1
        }
        #expect(try fixture.driver.reply(to: token).bytes == [0])
    }
}
