// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import TestSupport
import Testing
import Virtio

/// A driver that does anything, against a device that only takes and returns; `ChainOracle` knows what is right.
@Suite struct VirtqueueFuzzTests {
    private static let size: UInt16 = 8
    private static let operationCount = 1_000_000

    @Test("whatever a driver writes, a chain is taken exactly when it is valid, and other memory stays as it is")
    func anything() throws {
        var generator = SeededGenerator(seed: 0x6d61_7274)
        var (done, mistakes, faults, taken) = (0, 0, 0, 0)
        while done < Self.operationCount {
            // Few, since each maps memory: a queue is made anew from its own state after a fault.
            let fixture = try QueueFixture(
                size: Self.size,
                features: done / 100_000 % 2 == 0 ? [.version1, .ringIndirectDescriptors] : .version1,
                regions: [(0, 0x4000), (0x4000, 0x4000), (0xa000, 0x1000)]
            )
            let canary: GuestAddress = 0x7000
            try fixture.memory.fill(0xc3, byteCount: 0x1000, at: canary)
            let oracle = ChainOracle(fixture)
            var queue = fixture.queue
            var chain = DescriptorChain()
            for _ in 0..<100_000 {
                done += 1
                let choice = UInt8.random(in: 0..<10, using: &generator)
                if choice < 6 {
                    writeDescriptor(fixture, &generator)
                    continue
                }
                let index = UInt16.random(in: 0..<(choice == 6 ? 12 : Self.size), using: &generator)
                fixture.driver.rings.setAvailableElement(queue.state.nextAvailable, head: index)
                let step: UInt16 = choice == 7 ? .random(in: 0...20, using: &generator) : 1
                fixture.driver.rings.availableIndex = queue.state.nextAvailable &+ step
                let expected = step > Self.size ? nil : step == 0 ? .some([]) : oracle.chain(at: index)
                do throws(VirtqueueFault) {
                    let isTaken = try queue.pop(into: &chain)
                    if isTaken {
                        taken += 1
                        if chain.readable + chain.writable != expected { mistakes += 1 }
                        queue.addUsed(head: chain.head, byteCount: 1)
                        _ = queue.takeNotification()
                    } else if step != 0 {
                        mistakes += 1
                    }
                } catch {
                    faults += 1
                    if expected != nil { mistakes += 1 }
                    queue = try Virtqueue(
                        fixture.driver.configuration,
                        memory: fixture.memory,
                        features: fixture.features,
                        state: queue.state
                    )
                }
            }
            #expect(try fixture.memory.read(byteCount: 0x1000, at: canary).allSatisfy { $0 == 0xc3 })
        }
        #expect(mistakes == 0)
        // Both are common, or the test tests nothing.
        #expect(faults > 50_000 && taken > 50_000, "\(faults) faults, \(taken) taken")
    }

    /// Any descriptor of the queue, or of the place where indirect tables are.
    private func writeDescriptor(_ fixture: QueueFixture, _ generator: inout SeededGenerator) {
        let flags = [0, 0, 0, 2, 2, 4, 0xfff8, 6][Int.random(in: 0..<8, using: &generator)] as UInt16
        let isIndirect = flags & 4 != 0
        let addresses: [UInt64] = isIndirect ? [0x2000, 0x2010, 0x9000] : [0x3ff0, 0x5000, 0x7ff0, 0xaff0, 0, .max]
        let sizes: [UInt32] = isIndirect ? [32, 64, 160, 0, 20] : [0, 1, 16, 32, .max, 0x100]
        let weighted = Bool.random(using: &generator) ? 2 : addresses.count
        let address = addresses[Int.random(in: 0..<weighted, using: &generator)]
        let byteCount = sizes[Int.random(in: 0..<(weighted == 2 ? 3 : sizes.count), using: &generator)]
        let range = GuestRange(address: GuestAddress(rawValue: address), byteCount: byteCount)
        let next = UInt8.random(in: 0..<5, using: &generator) < 2 ? UInt16.random(in: 0..<9, using: &generator) : nil
        let index = UInt16.random(in: 0..<16, using: &generator)
        if index < Self.size {
            fixture.driver.rings.setDescriptor(index, range, flags: flags, next: next)
        } else {
            let address = GuestAddress(rawValue: 0x2000 + 16 * UInt64(index - Self.size))
            try? fixture.memory.store(FakeRings.descriptor(range, flags: flags, next: next), at: address)
        }
    }
}

/// Decides from the text of virtio 1.2, 2.7, whether a chain is valid: all of it first, the rules after that.
private struct ChainOracle {
    private struct Entry {
        let address: UInt64
        let byteCount: UInt64
        let flags: UInt16
        let next: UInt16
    }

    private let memory: GuestMemory
    private let table: UInt64
    private let hasIndirect: Bool
    private let size = 8

    init(_ fixture: QueueFixture) {
        memory = fixture.memory
        table = fixture.driver.configuration.descriptorTable.rawValue
        hasIndirect = fixture.features.contains(.ringIndirectDescriptors)
    }

    /// The parts of the chain; `nil` when it is not valid.
    func chain(at head: UInt16) -> [GuestRange]? {
        guard var entries = entries(of: table, count: size, from: head) else { return nil }
        if let last = entries.last, last.flags & 4 != 0 {
            guard
                hasIndirect, last.flags & 1 == 0, last.byteCount > 0, last.byteCount % 16 == 0,
                isMemory(last.address, last.byteCount),
                let others = self.entries(of: last.address, count: Int(last.byteCount / 16), from: 0)
            else { return nil }
            entries = entries.dropLast() + others
        }
        let parts = entries.filter { $0.byteCount > 0 }
        let firstWritable = entries.firstIndex { $0.byteCount > 0 && $0.flags & 2 != 0 } ?? entries.count
        guard
            entries.count <= size, entries.allSatisfy({ $0.flags & 4 == 0 }),
            entries[firstWritable...].allSatisfy({ $0.flags & 2 != 0 }),
            parts.allSatisfy({ isMemory($0.address, $0.byteCount) }),
            parts.reduce(0, { $0 + $1.byteCount }) < 1 << 32
        else { return nil }
        return parts.map {
            GuestRange(address: GuestAddress(rawValue: $0.address), byteCount: UInt32($0.byteCount))
        }
    }

    /// The entries of one table up to the end of the chain, or to a pointer to another table.
    private func entries(of table: UInt64, count: Int, from first: UInt16) -> [Entry]? {
        var entries: [Entry] = []
        var index = Int(first)
        while entries.count <= size {
            guard
                index < count,
                let raw = try? memory.load(UInt128.self, at: GuestAddress(rawValue: table + UInt64(16 * index)))
            else { return nil }
            let entry = Entry(
                address: UInt64(truncatingIfNeeded: raw),
                byteCount: UInt64(UInt32(truncatingIfNeeded: raw >> 64)),
                flags: UInt16(truncatingIfNeeded: raw >> 96),
                next: UInt16(truncatingIfNeeded: raw >> 112)
            )
            entries.append(entry)
            guard entry.flags & 4 == 0, entry.flags & 1 != 0 else { return entries }
            index = Int(entry.next)
        }
        return nil
    }

    /// The regions of the test: 0 ..< 0x8000 in two, and 0xa000 ..< 0xb000.
    private func isMemory(_ address: UInt64, _ byteCount: UInt64) -> Bool {
        let (end, overflow) = address.addingReportingOverflow(byteCount)
        return !overflow && (end <= 0x8000 || (address >= 0xa000 && end <= 0xb000))
    }
}
