// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import TestSupport
import Testing
import Virtio

@Suite struct VirtqueueHostileTests {
    private let ram = GuestRange(address: 0x8000, byteCount: 16)

    /// The fault that a driver's work on a fresh queue of 8 leads to; it must stay.
    private func fault(
        features: VirtioFeatures = [.version1, .ringIndirectDescriptors],
        after work: (QueueFixture) throws -> Void
    ) throws -> VirtqueueFault? {
        let fixture = try QueueFixture(features: features)
        try work(fixture)
        let fault = fixture.fault()
        // Mended too late.
        fixture.driver.rings.setDescriptor(0, ram, flags: 0, next: nil)
        #expect(fixture.fault() == fault)
        #expect(fixture.driver.rings.usedIndex == 0)
        return fault
    }

    private func table(_ fixture: QueueFixture, _ entries: [UInt128]) throws -> GuestRange {
        let address = try fixture.allocator.allocate(16 * entries.count, alignment: 16)
        for (index, entry) in entries.enumerated() {
            try fixture.memory.store(entry, at: GuestAddress(rawValue: address.rawValue + UInt64(16 * index)))
        }
        return GuestRange(address: address, byteCount: UInt32(16 * entries.count))
    }

    // MARK: - Rings

    @Test(
        "a size that is no power of two from 1 to 32768 is a fault",
        arguments: [0, 3, 255, 32769, 65535] as [UInt16]
    )
    func sizes(size: UInt16) throws {
        let memory = try GuestMemory(regions: [GuestMemoryRegion(start: 0, byteCount: 1 << 20)])
        let configuration = VirtqueueConfiguration(
            size: size,
            descriptorTable: 0,
            availableRing: 0x80000,
            usedRing: 0xc0000
        )
        #expect(throws: VirtqueueFault.badSize(size)) {
            try Virtqueue(configuration, memory: memory, features: .version1)
        }
    }

    @Test(
        "a ring that is not aligned, not in one region, in a hole or in another's place is a fault",
        arguments: [
            (0x1008, 0x2000, 0x3000, .descriptorTable), (0x1000, 0x2001, 0x3000, .availableRing),
            (0x1000, 0x2000, 0x3002, .usedRing), (0xfff0, 0x2000, 0x3000, .descriptorTable),
            (0x1000, 0xfffe, 0x3000, .availableRing), (0x1000, 0x2000, 0xfffc, .usedRing),
            (0x1000, 0x2000, 0x1fffc, .usedRing), (0x1000, 0x2000, 0x5000_0000, .usedRing),
            (0x1000, 0x1070, 0x3000, .availableRing), (0x1000, 0x2000, 0x2010, .usedRing),
            (0x2000, 0x3000, 0x1fc0, .usedRing), (.max - 15, 0x2000, 0x3000, .descriptorTable),
        ] as [(UInt64, UInt64, UInt64, VirtqueueFault.Ring)]
    )
    func rings(descriptors: UInt64, available: UInt64, used: UInt64, bad: VirtqueueFault.Ring) throws {
        let memory = try GuestMemory(regions: [
            GuestMemoryRegion(start: 0, byteCount: 0x10000), GuestMemoryRegion(start: 0x10000, byteCount: 0x10000),
        ])
        let configuration = VirtqueueConfiguration(
            size: 8,
            descriptorTable: GuestAddress(rawValue: descriptors),
            availableRing: GuestAddress(rawValue: available),
            usedRing: GuestAddress(rawValue: used)
        )
        let address =
            switch bad {
            case .descriptorTable: descriptors
            case .availableRing: available
            case .usedRing: used
            }
        #expect(throws: VirtqueueFault.badRing(bad, GuestAddress(rawValue: address))) {
            try Virtqueue(configuration, memory: memory, features: .version1)
        }
    }

    @Test("an available index more than the size ahead is a fault", arguments: [9, 0x8000, 0xffff] as [UInt16])
    func availableIndex(index: UInt16) throws {
        #expect(try fault { $0.driver.rings.availableIndex = index } == .badAvailableIndex(index, next: 0))
    }

    @Test("more buffers in flight than descriptors are a fault")
    func inFlight() throws {
        let fixture = try QueueFixture()
        fixture.driver.rings.setDescriptor(0, ram, flags: 0, next: nil)
        for _ in 0..<8 {
            fixture.driver.submit(head: 0)
            #expect(try fixture.pop() != nil)
        }
        fixture.driver.submit(head: 0)
        #expect(fixture.fault() == .tooManyBuffers)
    }

    // MARK: - Chains

    @Test("a head or a next beyond the table is a fault")
    func indices() throws {
        #expect(try fault { $0.driver.submit(head: 8) } == .badDescriptorIndex(8))
        let next = try fault { fixture in
            fixture.driver.rings.setDescriptor(0, ram, flags: 0, next: 0xffff)
            fixture.driver.submit(head: 0)
        }
        #expect(next == .badDescriptorIndex(0xffff))
    }

    @Test("a chain with a loop is a fault, also one of descriptors without bytes")
    func loops() throws {
        for byteCount: UInt32 in [0, 1] {
            let fault = try fault { fixture in
                let range = GuestRange(address: 0x8000, byteCount: byteCount)
                fixture.driver.rings.setDescriptor(0, range, flags: 0, next: 1)
                fixture.driver.rings.setDescriptor(1, range, flags: 0, next: 0)
                fixture.driver.submit(head: 0)
            }
            #expect(fault == .endlessChain)
        }
    }

    @Test("an indirect table with a loop, or a chain in it longer than the queue, is a fault")
    func indirectLoops() throws {
        let loop: [UInt16?] = [1, 0]
        let long: [UInt16?] = [1, 2, 3, 4, 5, 6, 7, 8, nil]
        for nexts in [loop, long] {
            let entries = nexts.map { FakeRings.descriptor(ram, flags: 0, next: $0) }
            let fault = try fault { fixture in
                let table = try table(fixture, entries)
                fixture.driver.rings.setDescriptor(0, table, flags: FakeRings.indirect, next: nil)
                fixture.driver.submit(head: 0)
            }
            #expect(fault == .endlessChain)
        }
    }

    @Test("an indirect table that is empty, odd, not memory, nested, followed or not negotiated is a fault")
    func indirectTables() throws {
        let address: GuestAddress = 0x9000
        for byteCount: UInt32 in [0, 15, 17, 0xffff_fff0] {
            let range = GuestRange(address: address, byteCount: byteCount)
            let fault = try fault { fixture in
                fixture.driver.rings.setDescriptor(0, range, flags: FakeRings.indirect, next: nil)
                fixture.driver.submit(head: 0)
            }
            #expect(fault == .badIndirectTable(range))
        }
        let inner = GuestRange(address: address, byteCount: 16)
        let nested = try fault { fixture in
            let table = try table(fixture, [FakeRings.descriptor(inner, flags: FakeRings.indirect, next: nil)])
            fixture.driver.rings.setDescriptor(0, table, flags: FakeRings.indirect, next: nil)
            fixture.driver.submit(head: 0)
        }
        #expect(nested == .badIndirectTable(inner))
        let followed = try fault { fixture in
            fixture.driver.rings.setDescriptor(0, inner, flags: FakeRings.indirect, next: 1)
            fixture.driver.submit(head: 0)
        }
        #expect(followed == .badIndirectTable(inner))
        let unknown = try fault(features: .version1) { fixture in
            fixture.driver.rings.setDescriptor(0, inner, flags: FakeRings.indirect, next: nil)
            fixture.driver.submit(head: 0)
        }
        #expect(unknown == .badIndirectTable(inner))
    }

    @Test("a readable part behind a writable one is a fault")
    func order() throws {
        let fault = try fault { fixture in
            fixture.driver.rings.setDescriptor(0, ram, flags: FakeRings.write, next: 1)
            fixture.driver.rings.setDescriptor(1, ram, flags: 0, next: nil)
            fixture.driver.submit(head: 0)
        }
        #expect(fault == .readableAfterWritable)
    }

    @Test(
        "a buffer that is not all memory is a fault",
        arguments: [(0xf_ffff, 2), (0x10_0000, 1), (.max, 1), (.max, 2), (0, .max)] as [(UInt64, UInt32)]
    )
    func addresses(address: UInt64, byteCount: UInt32) throws {
        let range = GuestRange(address: GuestAddress(rawValue: address), byteCount: byteCount)
        let fault = try fault { fixture in
            fixture.driver.rings.setDescriptor(0, range, flags: 0, next: nil)
            fixture.driver.submit(head: 0)
        }
        #expect(fault == .badAddress(range))
    }

    @Test("a chain of 4 GiB is a fault, although each part is memory")
    func tooLarge() throws {
        let fixture = try QueueFixture(regions: [(0, 3 << 30)])
        let half = GuestRange(address: 0, byteCount: 1 << 31)
        fixture.driver.rings.setDescriptor(0, half, flags: 0, next: 1)
        fixture.driver.rings.setDescriptor(1, half, flags: 0, next: nil)
        fixture.driver.submit(head: 0)
        #expect(fixture.fault() == .chainTooLarge)
    }
}
