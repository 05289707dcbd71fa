// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import TestSupport
import Testing
import Virtio

@Suite struct VirtqueueTests {
    @Test("a chain keeps its parts in order, wherever its descriptors are", arguments: FakeQueue.Layout.allCases)
    func parts(layout: FakeQueue.Layout) throws {
        let fixture = try QueueFixture()
        let readable = [try fixture.range(16), try fixture.range(3)]
        let writable = [try fixture.range(512), try fixture.range(1)]
        let prepared = try fixture.driver.prepare(readable: readable, writable: writable, layout: layout)
        fixture.driver.submit(prepared)
        let chain = try #require(try fixture.pop())
        #expect(chain.head == prepared.head)
        #expect(chain.readable == readable)
        #expect(chain.writable == writable)
        #expect(chain.readableByteCount == 19)
        #expect(chain.writableByteCount == 513)
        #expect(fixture.queue.inFlightCount == 1)
        #expect(try fixture.pop() == nil)
    }

    @Test("buffers come back with their heads and lengths, in the order in which they are returned")
    func usedElements() throws {
        let fixture = try QueueFixture()
        let chains = try (0..<2).map { _ in
            try fixture.driver.prepare(readable: [], writable: [fixture.range(8)])
        }
        chains.forEach(fixture.driver.submit)
        _ = try fixture.pop()
        _ = try fixture.pop()
        #expect(fixture.driver.takeUsed() == nil)
        fixture.queue.addUsed(head: chains[1].head, byteCount: 7)
        fixture.queue.addUsed(head: chains[0].head, byteCount: 8)
        #expect(fixture.driver.takeUsed() == .init(head: UInt32(chains[1].head), byteCount: 7))
        #expect(fixture.driver.takeUsed() == .init(head: UInt32(chains[0].head), byteCount: 8))
        #expect(fixture.queue.inFlightCount == 0)
    }

    @Test("the indices go around, and an interrupt comes exactly when it is due", arguments: [true, false])
    func notifications(hasEventIndex: Bool) throws {
        let fixture = try QueueFixture(features: hasEventIndex ? [.version1, .ringEventIndex] : .version1)
        let chains = try (0..<8).map { _ in try fixture.driver.prepare(readable: [fixture.range(1)], writable: []) }
        var generator = SeededGenerator(seed: 1)
        var mistakes = 0
        var count = 0
        while count < 70_000 {
            let batch = chains.prefix(Int.random(in: 1...8, using: &generator))
            let old = fixture.driver.rings.usedIndex
            fixture.driver.rings.usedEvent = old &+ UInt16.random(in: 0...9, using: &generator)
            fixture.driver.rings.availableFlags = UInt16.random(in: 0...1, using: &generator)
            for chain in batch {
                fixture.driver.submit(chain)
                let popped = try #require(try fixture.pop())
                fixture.queue.addUsed(head: popped.head, byteCount: 0)
            }
            if fixture.queue.takeNotification() != fixture.driver.isInterruptDue(since: old) { mistakes += 1 }
            if fixture.queue.takeNotification() { mistakes += 1 }
            count += batch.count
        }
        #expect(mistakes == 0)
    }

    @Test("after enableKicks the driver kicks for the next buffer, and one that came meanwhile is told")
    func kicks() throws {
        for features: VirtioFeatures in [.version1, [.version1, .ringEventIndex]] {
            let fixture = try QueueFixture(features: features)
            let chain = try fixture.driver.prepare(readable: [fixture.range(1)], writable: [])
            fixture.queue.disableKicks()
            fixture.driver.submit(chain)
            _ = fixture.driver.takeKick()
            #expect(try fixture.queue.enableKicks())
            _ = try fixture.pop()
            #expect(try !fixture.queue.enableKicks())
            fixture.driver.submit(chain)
            #expect(fixture.driver.takeKick())
            _ = try fixture.pop()
            fixture.queue.disableKicks()
            fixture.driver.submit(chain)
            #expect(!fixture.driver.takeKick())
        }
    }

    @Test("descriptors of no bytes are skipped, whatever their address, and unknown flags mean nothing")
    func emptyDescriptors() throws {
        let fixture = try QueueFixture()
        let range = try fixture.range(4)
        let nowhere = GuestRange(address: GuestAddress(rawValue: .max), byteCount: 0)
        fixture.driver.rings.setDescriptor(0, nowhere, flags: 0xff00, next: 1)
        fixture.driver.rings.setDescriptor(1, range, flags: 0x8000, next: nil)
        fixture.driver.submit(head: 0)
        #expect(try fixture.pop()?.readable == [range])
    }

    @Test("a buffer may cross from one region into the next")
    func adjacentRegions() throws {
        let fixture = try QueueFixture(regions: [(0, 0x10000), (0x10000, 0x10000)])
        let range = GuestRange(address: 0xfff0, byteCount: 32)
        fixture.driver.submit(try fixture.driver.prepare(readable: [], writable: [range]))
        #expect(try fixture.pop()?.writable == [range])
    }

    @Test("a queue goes on from its state where another stopped")
    func state() throws {
        let fixture = try QueueFixture()
        let chain = try fixture.driver.prepare(readable: [fixture.range(1)], writable: [])
        for _ in 0..<3 {
            fixture.driver.submit(chain)
            _ = try fixture.pop()
            fixture.queue.addUsed(head: chain.head, byteCount: 0)
        }
        let other = try Virtqueue(
            fixture.driver.configuration,
            memory: fixture.memory,
            features: fixture.features,
            state: fixture.queue.state
        )
        var popped = DescriptorChain()
        #expect(try !other.pop(into: &popped))
        fixture.driver.submit(chain)
        #expect(try other.pop(into: &popped))
        other.addUsed(head: popped.head, byteCount: 0)
        #expect(fixture.driver.rings.usedIndex == 4)
    }

    @Test("a chain may be as long as its queue", arguments: FakeQueue.Layout.allCases)
    func longest(layout: FakeQueue.Layout) throws {
        let fixture = try QueueFixture()
        let parts = try (0..<8).map { _ in try fixture.range(1) }
        fixture.driver.submit(try fixture.driver.prepare(readable: parts, writable: [], layout: layout))
        #expect(try fixture.pop()?.readable == parts)
    }
}
