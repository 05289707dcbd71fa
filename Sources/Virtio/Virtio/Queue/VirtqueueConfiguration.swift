// SPDX-License-Identifier: Apache-2.0

package import GuestMemory

/// A driver's description of one split virtqueue (virtio 1.2, 2.7): a plain value, not checked yet.
package struct VirtqueueConfiguration: Hashable, Sendable {
    /// The number of descriptors.
    package var size: UInt16
    package var descriptorTable: GuestAddress
    /// The driver area.
    package var availableRing: GuestAddress
    /// The device area.
    package var usedRing: GuestAddress

    package init(
        size: UInt16,
        descriptorTable: GuestAddress,
        availableRing: GuestAddress,
        usedRing: GuestAddress
    ) {
        self.size = size
        self.descriptorTable = descriptorTable
        self.availableRing = availableRing
        self.usedRing = usedRing
    }
}

/// The state of a virtqueue for a snapshot, besides its configuration and guest memory.
package struct VirtqueueState: Codable, Hashable, Sendable {
    /// The number of the next buffer that the device takes.
    package var nextAvailable: UInt16 = 0
    /// The number of the next buffer that it returns.
    package var nextUsed: UInt16 = 0
    /// The number up to which the driver was asked whether it wants to hear of returned buffers.
    package var lastNotified: UInt16 = 0

    package init() {}
}
