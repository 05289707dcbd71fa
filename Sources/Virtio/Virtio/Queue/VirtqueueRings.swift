// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// The three parts of a split virtqueue in guest memory (virtio 1.2, 2.7.5, 2.7.6, 2.7.8): checked once, then used.
struct VirtqueueRings {
    let size: Int
    let descriptors: GuestMemoryView
    private let available: GuestMemoryView
    private let used: GuestMemoryView

    private static let usedElementByteCount = 8
    static let sizes: ClosedRange<UInt16> = 1...32768

    /// - Throws: `badSize` and `badRing`.
    init(_ configuration: VirtqueueConfiguration, memory: GuestMemory) throws(VirtqueueFault) {
        let size = configuration.size
        guard Self.sizes.contains(size), size & (size - 1) == 0 else { throw .badSize(size) }
        let count = Int(size)
        // Flags, index, the ring, and the event index of the other side, which is always there (2.7).
        let places: [(VirtqueueFault.Ring, GuestAddress, byteCount: Int, alignment: UInt64)] = [
            (.descriptorTable, configuration.descriptorTable, Descriptor.byteCount * count, 16),
            (.availableRing, configuration.availableRing, 6 + 2 * count, 2),
            (.usedRing, configuration.usedRing, 6 + Self.usedElementByteCount * count, 4),
        ]
        var views: [GuestMemoryView] = []
        for (index, (ring, address, byteCount, alignment)) in places.enumerated() {
            let isAlone = places[..<index].allSatisfy { _, other, otherByteCount, _ in
                address.rawValue &- other.rawValue >= UInt64(otherByteCount)
                    && other.rawValue &- address.rawValue >= UInt64(byteCount)
            }
            guard
                isAlone, address.rawValue % alignment == 0,
                let view = GuestMemoryView(memory, at: address, byteCount: byteCount)
            else { throw .badRing(ring, address) }
            views.append(view)
        }
        (self.size, descriptors, available, used) = (count, views[0], views[1], views[2])
    }

    // MARK: - The driver's area

    /// Bit 0: no interrupts, please.
    var availableFlags: UInt16 { available.load(UInt16.self, at: 0) }
    /// The place of the driver's next buffer.
    var availableIndex: UInt16 { available.loadAcquiring(at: 2) }
    /// The index at which the driver wants an interrupt.
    var usedEvent: UInt16 { available.load(UInt16.self, at: 4 + 2 * size) }

    /// The head of the buffer that the driver made available as number `index`.
    func head(at index: UInt16) -> UInt16 {
        available.load(UInt16.self, at: 4 + 2 * (Int(index) & (size - 1)))
    }

    // MARK: - The device's area

    /// Bit 0: no kicks, please.
    func setUsedFlags(_ flags: UInt16) { used.store(flags, at: 0) }
    /// Publishes all buffers before number `index`.
    func setUsedIndex(_ index: UInt16) { used.storeReleasing(index, at: 2) }
    /// The index at which the device wants a kick.
    func setAvailableEvent(_ index: UInt16) {
        used.store(index, at: 4 + Self.usedElementByteCount * size)
    }

    /// Puts the buffer that begins with `head` into place `index`.
    func setUsedElement(at index: UInt16, head: UInt16, byteCount: UInt32) {
        let offset = 4 + Self.usedElementByteCount * (Int(index) & (size - 1))
        used.store(UInt64(byteCount) << 32 | UInt64(head), at: offset)
    }
}
