// SPDX-License-Identifier: Apache-2.0

package import GuestMemory
package import Virtio

/// All fields of a split virtqueue as its driver, or its attacker, sees them: each may be read and written, unchecked.
package struct FakeRings {
    package static let next: UInt16 = 1
    package static let write: UInt16 = 2
    package static let indirect: UInt16 = 4

    package let descriptors: GuestMemoryView
    package let available: GuestMemoryView
    package let used: GuestMemoryView
    private let size: Int

    package init(_ configuration: VirtqueueConfiguration, memory: GuestMemory) throws(FakeDriverError) {
        size = Int(configuration.size)
        guard
            let descriptors = GuestMemoryView(memory, at: configuration.descriptorTable, byteCount: 16 * size),
            let available = GuestMemoryView(memory, at: configuration.availableRing, byteCount: 6 + 2 * size),
            let used = GuestMemoryView(memory, at: configuration.usedRing, byteCount: 6 + 8 * size)
        else { throw FakeDriverError("a ring is not in one region") }
        (self.descriptors, self.available, self.used) = (descriptors, available, used)
    }

    // MARK: - Descriptors

    /// The 16 bytes of a descriptor (virtio 1.2, 2.7.5); with a `next`, the flag for it is set.
    package static func descriptor(_ range: GuestRange, flags: UInt16, next: UInt16?) -> UInt128 {
        let flags = flags | (next == nil ? 0 : Self.next)
        return UInt128(range.address.rawValue) | UInt128(range.byteCount) << 64 | UInt128(flags) << 96
            | UInt128(next ?? 0) << 112
    }

    package func setDescriptor(_ index: UInt16, _ range: GuestRange, flags: UInt16, next: UInt16?) {
        let descriptor = Self.descriptor(range, flags: flags, next: next)
        descriptors.store(UInt64(truncatingIfNeeded: descriptor), at: 16 * Int(index))
        descriptors.store(UInt64(truncatingIfNeeded: descriptor >> 64), at: 16 * Int(index) + 8)
    }

    // MARK: - The driver's area

    package var availableFlags: UInt16 {
        get { available.load(UInt16.self, at: 0) }
        nonmutating set { available.store(newValue, at: 0) }
    }

    package var availableIndex: UInt16 {
        get { available.loadAcquiring(at: 2) }
        nonmutating set { available.storeReleasing(newValue, at: 2) }
    }

    package var usedEvent: UInt16 {
        get { available.load(UInt16.self, at: 4 + 2 * size) }
        nonmutating set { available.store(newValue, at: 4 + 2 * size) }
    }

    package func setAvailableElement(_ index: UInt16, head: UInt16) {
        available.store(head, at: 4 + 2 * (Int(index) % size))
    }

    // MARK: - The device's area

    package var usedFlags: UInt16 {
        get { used.load(UInt16.self, at: 0) }
        nonmutating set { used.store(newValue, at: 0) }
    }

    package var usedIndex: UInt16 {
        get { used.loadAcquiring(at: 2) }
        nonmutating set { used.storeReleasing(newValue, at: 2) }
    }

    package var availableEvent: UInt16 {
        get { used.load(UInt16.self, at: 4 + 8 * size) }
        nonmutating set { used.store(newValue, at: 4 + 8 * size) }
    }

    package func usedElement(_ index: UInt16) -> FakeQueue.UsedElement {
        let offset = 4 + 8 * (Int(index) % size)
        return FakeQueue.UsedElement(
            head: used.load(UInt32.self, at: offset),
            byteCount: used.load(UInt32.self, at: offset + 4)
        )
    }
}
