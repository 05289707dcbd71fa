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
