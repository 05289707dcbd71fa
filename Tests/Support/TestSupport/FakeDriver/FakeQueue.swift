// SPDX-License-Identifier: Apache-2.0

package import GuestMemory
package import Virtio

/// The driver's side of one split virtqueue (virtio 1.2, 2.7), which can also break every rule of it.
///
/// Two ways to use it. `FakeDriver.request` does everything for a test. A benchmark calls `prepare` once for each buffer
/// and then `submit` and `takeUsed` again and again, which allocate nothing.
package final class FakeQueue {
    /// A buffer in the descriptor table, to be submitted as often as the device returns it.
    package struct PreparedChain: Hashable, Sendable {
        package let head: UInt16
        /// The descriptors that it takes of the queue's own table.
        let indices: [UInt16]
    }

    /// An element of the used ring: a buffer that the device returns (2.7.8).
    package struct UsedElement: Hashable, Sendable {
        package let head: UInt32
        package let byteCount: UInt32

        package init(head: UInt32, byteCount: UInt32) {
            (self.head, self.byteCount) = (head, byteCount)
        }
    }

    /// The layout of a chain.
    package enum Layout: CaseIterable, Sendable {
        case direct
        /// All in an indirect table (2.7.5.3).
        case indirect
        /// The first part in the queue's table, the others in an indirect one.
        case mixed
    }

    package let configuration: VirtqueueConfiguration
    package let rings: FakeRings
    private let allocator: FakeAllocator
    private let hasEventIndex: Bool
    private var free: [UInt16]
    private var nextAvailable: UInt16 = 0
    private var lastKicked: UInt16 = 0
    private var nextUsed: UInt16 = 0

    package init(size: UInt16, features: VirtioFeatures, allocator: FakeAllocator) throws {
        let count = Int(size)
        configuration = VirtqueueConfiguration(
            size: size,
            descriptorTable: try allocator.allocate(16 * count, alignment: 16),
            availableRing: try allocator.allocate(6 + 2 * count, alignment: 2),
            usedRing: try allocator.allocate(6 + 8 * count, alignment: 4)
        )
        rings = try FakeRings(configuration, memory: allocator.memory)
        self.allocator = allocator
        hasEventIndex = features.contains(.ringEventIndex)
        free = (0..<size).reversed()
    }

    // MARK: - Chains

    /// Lays out a chain.
    ///
    /// - Parameters:
    ///   - readable: What the device may read.
    ///   - writable: What it may write, behind the readable parts.
    ///   - layout: Where the descriptors are.
    /// - Returns: The chain, not submitted yet.
    /// - Throws: `FakeDriverError`, when there are too few descriptors or no memory.
    package func prepare(
        readable: [GuestRange],
        writable: [GuestRange],
        layout: Layout = .direct
    ) throws -> PreparedChain {
        let parts = readable.map { ($0, UInt16(0)) } + writable.map { ($0, FakeRings.write) }
        let directCount =
            switch layout {
            case .direct: parts.count
            case .indirect: 0
            case .mixed: min(1, parts.count)
            }
        let hasTable = directCount < parts.count
        let needed = directCount + (hasTable ? 1 : 0)
        guard needed > 0 else { throw FakeDriverError("a chain of no descriptors") }
        guard free.count >= needed else { throw FakeDriverError("no \(needed) free descriptors") }
        let indices = (0..<needed).map { _ in free.removeLast() }
        for (position, (range, flags)) in parts.prefix(directCount).enumerated() {
            let next = position + 1 < needed ? indices[position + 1] : nil
            rings.setDescriptor(indices[position], range, flags: flags, next: next)
        }
        if hasTable {
            let table = try indirectTable(Array(parts.dropFirst(directCount)))
            rings.setDescriptor(indices[needed - 1], table, flags: FakeRings.indirect, next: nil)
        }
        return PreparedChain(head: indices[0], indices: indices)
    }

    private func indirectTable(_ parts: [(GuestRange, UInt16)]) throws -> GuestRange {
        let address = try allocator.allocate(16 * parts.count, alignment: 16)
        for (index, (range, flags)) in parts.enumerated() {
            let isLast = index + 1 == parts.count
            let bytes = FakeRings.descriptor(range, flags: flags, next: isLast ? nil : UInt16(index + 1))
            try allocator.memory.store(bytes, at: GuestAddress(rawValue: address.rawValue + UInt64(16 * index)))
        }
        return GuestRange(address: address, byteCount: UInt32(16 * parts.count))
    }

    /// Gives the descriptors of a chain back; the device must have returned it.
    package func release(_ chain: PreparedChain) {
        free.append(contentsOf: chain.indices)
    }

    // MARK: - The rings

    /// Makes a chain available; does not kick.
    package func submit(_ chain: PreparedChain) {
        submit(head: chain.head)
    }

    /// Makes available what begins with descriptor `head`, whatever that is.
    package func submit(head: UInt16) {
        rings.setAvailableElement(nextAvailable, head: head)
        nextAvailable &+= 1
        rings.availableIndex = nextAvailable
    }

    /// Returns whether the device wants a kick for what was submitted since the last call (2.7.10.1).
    package func takeKick() -> Bool {
        defer { lastKicked = nextAvailable }
        guard nextAvailable != lastKicked else { return false }
        guard hasEventIndex else { return rings.usedFlags & 1 == 0 }
        return Self.isPassed(rings.availableEvent, from: lastKicked, to: nextAvailable)
    }

    /// Takes what the device returned next.
    package func takeUsed() -> UsedElement? {
        guard rings.usedIndex != nextUsed else { return nil }
        defer { nextUsed &+= 1 }
        return rings.usedElement(nextUsed)
    }

    /// Asks for an interrupt for the next buffer, or for no interrupts at all (2.7.7.1).
    package func setInterrupts(areWanted: Bool) {
        if hasEventIndex {
            // An index that has just been passed comes again after 65536 buffers.
            rings.usedEvent = areWanted ? nextUsed : nextUsed &- 1
        } else {
            rings.availableFlags = areWanted ? 0 : 1
        }
    }

    /// Returns whether an interrupt is due for what the device returned after index `old` (2.7.7.2).
    package func isInterruptDue(since old: UInt16) -> Bool {
        let new = rings.usedIndex
        guard hasEventIndex else { return new != old && rings.availableFlags & 1 == 0 }
        return Self.isPassed(rings.usedEvent, from: old, to: new)
    }

    /// Counts through, on purpose not as a device would do it.
    private static func isPassed(_ event: UInt16, from old: UInt16, to new: UInt16) -> Bool {
        var index = old
        while index != new {
            if index == event { return true }
            index &+= 1
        }
        return false
    }
}
