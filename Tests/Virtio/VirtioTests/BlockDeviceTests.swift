// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Storage
import SystemPackage
import TestSupport
import Testing
import Virtio

@Suite struct BlockDeviceTests {
    private let pattern = (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 7) }

    // MARK: - Data

    @Test func `what is written is read back, and lies on the disk`() throws {
        let fixture = try BlockFixture()
        #expect(try fixture.write(pattern, sector: 3) == .ok)
        let answer = try fixture.read(4096, sector: 3)
        #expect(answer.status == .ok)
        #expect(answer.bytes == pattern)
        #expect(answer.usedByteCount == 4097)
        #expect(Array(fixture.disk.bytes[3 * 512..<3 * 512 + 4096]) == pattern)
    }

    @Test(arguments: FakeQueue.Layout.allCases)
    func `a request may be cut into descriptors anywhere`(layout: FakeQueue.Layout) throws {
        let fixture = try BlockFixture()
        let whole = BlockFixture.header(.write, sector: 1) + pattern
        let cuts = [0, 3, 15, 20, 500, 1041, whole.count]
        let pieces = zip(cuts, cuts.dropFirst()).map { Array(whole[$0..<$1]) }
        let written = try fixture.driver.perform(readable: pieces, writable: [1], layout: layout)
        #expect(written.bytes == [0])
        let reply = try fixture.driver.perform(
            readable: [BlockFixture.header(.read, sector: 1)],
            // The status byte shares a descriptor with data.
            writable: [1, 510, 3000, 586],
            layout: layout
        )
        #expect(reply.bytes == pattern + [0])
    }

    @Test func `many requests may be in flight, and each gets its own answer`() throws {
        let fixture = try BlockFixture()
        for sector in 0..<32 {
            #expect(try fixture.write([UInt8](repeating: UInt8(sector), count: 512), sector: UInt64(sector)) == .ok)
        }
        fixture.disk.hold()
        let tokens = try (0..<32).map { sector in
            try fixture.driver.request(
                readable: [BlockFixture.header(.read, sector: UInt64(sector))],
                writable: [512, 1]
            )
        }
        #expect(fixture.driver.queues[0].takeUsed() == nil)
        fixture.disk.release()
        fixture.handleEvents()
        // The disk completes the last one first.
        for (sector, token) in tokens.enumerated().reversed() {
            #expect(try fixture.driver.reply(to: token).bytes == [UInt8](repeating: UInt8(sector), count: 512) + [0])
        }
        #expect(fixture.driver.interrupt.current.needsReset.isEmpty)
    }

    @Test func `one interrupt tells of all that was completed together`() throws {
        let fixture = try BlockFixture()
        fixture.disk.hold()
        for _ in 0..<8 {
            _ = try fixture.driver.request(readable: [BlockFixture.header(.read)], writable: [512, 1])
        }
        #expect(fixture.driver.interrupt.current.usedBuffers == 0)
        fixture.disk.release()
        fixture.handleEvents()
        #expect(fixture.driver.interrupt.current.usedBuffers == 1)
    }

    @Test func `what does not fit into the engine waits in the virtqueue, and is done in the end`() throws {
        let fixture = try BlockFixture(engineCapacity: 2)
        fixture.disk.hold()
        let tokens = try (0..<20).map { _ in
            try fixture.driver.request(readable: [BlockFixture.header(.read)], writable: [512, 1])
        }
        #expect(fixture.disk.log.isEmpty)
        fixture.disk.release()
        fixture.handleEvents()
        var answers = 0
        while fixture.driver.queues[0].takeUsed() != nil { answers += 1 }
        #expect(answers == tokens.count)
    }

    // MARK: - What is wrong with a request

    @Test(arguments: [(UInt64(128), 512), (127, 1024), (.max, 512), (1 << 55, 512), (UInt64.max / 512 + 1, 512)])
    func `a read beyond the end is an I/O error, and gives nothing`(sector: UInt64, byteCount: Int) throws {
        let fixture = try BlockFixture()
        let answer = try fixture.read(byteCount, sector: sector)
        #expect(answer.status == .ioError)
        #expect(answer.usedByteCount == 0, "the length ends before the first byte that was not written")
        #expect(answer.bytes == [UInt8](repeating: 0, count: byteCount))
        #expect(fixture.disk.log.isEmpty)
    }

    @Test(arguments: [1, 511, 513, 1000])
    func `data of no whole sectors is an I/O error`(byteCount: Int) throws {
        let fixture = try BlockFixture()
        #expect(try fixture.write([UInt8](repeating: 1, count: byteCount), sector: 0) == .ioError)
        #expect(try fixture.read(byteCount, sector: 0).status == .ioError)
        #expect(fixture.disk.log.isEmpty)
    }

    @Test func `no data at all is fine`() throws {
        let fixture = try BlockFixture()
        #expect(try fixture.status(of: [BlockFixture.header(.read, sector: 128)]) == .ok)
        #expect(try fixture.status(of: [BlockFixture.header(.write, sector: 128)]) == .ok)
        #expect(try fixture.status(of: [BlockFixture.header(.read, sector: 129)]) == .ioError)
    }

    @Test(arguments: [UInt32(2), 3, 5, 7, 9, 10, 12, 14, 15, 16, 17, .max])
    func `an unknown request is unsupported`(kind: UInt32) throws {
        let fixture = try BlockFixture()
        #expect(try fixture.status(of: [BlockFixture.header(kind, sector: 0)]) == .unsupported)
    }

    @Test(arguments: [([16], []), ([15], [1]), ([], [513]), ([0], [1])] as [([Int], [Int])])
    func `a request without header or status byte needs a reset, after which all is well`(
        readable: [Int],
        writable: [Int]
    ) throws {
        let fixture = try BlockFixture()
        _ = try fixture.driver.request(readable: readable.map { [UInt8](repeating: 0, count: $0) }, writable: writable)
        guard case .malformedRequest? = fixture.driver.interrupt.current.needsReset.first else {
            Issue.record("no reset is asked for")
            return
        }
        // Nothing is taken, and nothing more is said, until then.
        _ = try fixture.driver.request(readable: [BlockFixture.header(.flush)], writable: [1])
        #expect(fixture.driver.interrupt.current.needsReset.count == 1)
        #expect(fixture.disk.log.isEmpty)
        try fixture.driver.reset()
        #expect(try fixture.write(pattern, sector: 0) == .ok)
    }

    // MARK: - The host's errors

    @Test(arguments: [Errno.ioError, .noSpace, .init(rawValue: 19)])
    func `an error of the host is an I/O error of that request alone`(error: Errno) throws {
        let fixture = try BlockFixture()
        fixture.disk.fail(from: 4096, with: error)
        #expect(try fixture.write(pattern, sector: 8) == .ioError)
        #expect(try fixture.write(pattern, sector: 0) == .ok)
        let answer = try fixture.read(1024, sector: 7)
        #expect(answer.status == .ioError)
        fixture.disk.fail(with: nil)
        #expect(try fixture.write(pattern, sector: 8) == .ok)
    }

    @Test func `a flush that fails says so`() throws {
        let fixture = try BlockFixture()
        fixture.disk.fail(with: .noSpace)
        #expect(try fixture.status(of: [BlockFixture.header(.flush)]) == .ioError)
    }

    // MARK: - Read-only

    @Test func `a read-only disk offers that it is one, reads, and refuses everything else`() throws {
        let fixture = try BlockFixture { $0.isReadOnly = true }
        #expect(fixture.device.features.contains(.blockReadOnly))
        #expect(fixture.device.features.isDisjoint(with: [.blockDiscard, .blockWriteZeroes]))
        #expect(try fixture.read(512, sector: 0).status == .ok)
        #expect(try fixture.write(pattern, sector: 0) == .ioError)
        let range = BlockFixture.range(sector: 0, count: 1)
        #expect(try fixture.status(of: [BlockFixture.header(.discard), range]) == .unsupported)
        #expect(fixture.disk.log == ["read 0+512"])
    }

    // MARK: - Identity

    @Test func `the identifier is padded with zeros to 20 bytes`() throws {
        let fixture = try BlockFixture()
        let reply = try fixture.driver.perform(readable: [BlockFixture.header(.getID)], writable: [20, 1])
        #expect(reply.bytes == Array("MARTLET-0".utf8) + [UInt8](repeating: 0, count: 12))
    }

    @Test func `a long identifier is cut off, and so is one that has less room`() throws {
        let fixture = try BlockFixture { $0.identifier = "0123456789012345678901234" }
        let reply = try fixture.driver.perform(readable: [BlockFixture.header(.getID)], writable: [20, 1])
        #expect(reply.bytes == Array("01234567890123456789".utf8) + [0])
        let short = try fixture.driver.perform(readable: [BlockFixture.header(.getID)], writable: [4, 1])
        #expect(short.bytes == Array("0123".utf8) + [0])
    }

    // MARK: - Reset

    @Test func `a reset waits for what is in flight and returns nothing of it`() throws {
        let fixture = try BlockFixture()
        fixture.disk.hold()
        _ = try fixture.driver.request(readable: [BlockFixture.header(.write), pattern], writable: [1])
        fixture.device.reset()
        #expect(fixture.disk.log == ["write(isDurable: false) 0+4096"])
        #expect(fixture.driver.queues[0].takeUsed() == nil)
        #expect(fixture.driver.interrupt.current.usedBuffers == 0)
        // Late events find nothing to do.
        fixture.disk.release()
        fixture.handleEvents()
        fixture.device.processQueue(0)
        #expect(fixture.driver.interrupt.current == RecordingVirtioInterrupt.Record())
    }

    @Test func `a drain returns what is in flight`() throws {
        let fixture = try BlockFixture()
        fixture.disk.hold()
        let token = try fixture.driver.request(readable: [BlockFixture.header(.write), pattern], writable: [1])
        fixture.device.drain(.guestMemory)
        #expect(try fixture.driver.reply(to: token).bytes == [0])
    }

    @Test func `kicks for virtqueues that do not exist do nothing`() throws {
        let fixture = try BlockFixture()
        for index in [-1, 1, 31, 32, 64, .max] { fixture.device.processQueue(index) }
        #expect(try fixture.write(pattern, sector: 0) == .ok)
    }

    @Test func `each virtqueue of several is served`() throws {
        let fixture = try BlockFixture(queueCount: 4)
        for queue in 0..<4 {
            let header = BlockFixture.header(.write, sector: UInt64(queue))
            let data = [UInt8](repeating: UInt8(queue + 1), count: 512)
            #expect(try fixture.driver.perform(readable: [header, data], writable: [1], queue: queue).bytes == [0])
        }
        #expect((0..<4).map { fixture.disk.bytes[512 * $0] } == [1, 2, 3, 4])
    }
}
