// SPDX-License-Identifier: Apache-2.0

/// Everything that a snapshot must keep of a `QueueServer`.
///
/// It is taken after `drain`: nothing is in flight then, and chains that were taken but not handled are in their virtqueue again.
package struct QueueServerState: Codable, Hashable, Sendable {
    /// One for each virtqueue, `nil` for those that the driver left alone; empty while no driver has started the device.
    package var queues: [VirtqueueState?] = []
    /// Indicates whether the driver broke a virtqueue, so that the device needs a reset.
    package var isFaulty = false

    package init(queues: [VirtqueueState?] = [], isFaulty: Bool = false) {
        self.queues = queues
        self.isFaulty = isFaulty
    }
}
