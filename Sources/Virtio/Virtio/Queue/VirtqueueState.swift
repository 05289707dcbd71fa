// SPDX-License-Identifier: Apache-2.0

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
