// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// Everything that must survive a snapshot of an `MMIOTransport`; the default is the state after a reset.
///
/// A state from outside is taken with care: unknown bits are dropped, and queues that the device has not.
package struct MMIOTransportState: Codable, Hashable, Sendable {
    /// The registers of one queue.
    package struct Queue: Codable, Hashable, Sendable {
        package var size: UInt16 = 0
        package var isReady = false
        package var descriptorTable: UInt64 = 0
        /// The available ring.
        package var driverArea: UInt64 = 0
        /// The used ring.
        package var deviceArea: UInt64 = 0

        package init() {}

        /// The description of the queue for the device.
        var configuration: VirtqueueConfiguration {
            VirtqueueConfiguration(
                size: size,
                descriptorTable: GuestAddress(rawValue: descriptorTable),
                availableRing: GuestAddress(rawValue: driverArea),
                usedRing: GuestAddress(rawValue: deviceArea)
            )
        }
    }

    package var status: DeviceStatus = []
    package var interruptStatus: UInt32 = 0
    package var configurationGeneration: UInt32 = 0
    package var deviceFeaturesSelect: UInt32 = 0
    package var driverFeaturesSelect: UInt32 = 0
    package var driverFeatures: VirtioFeatures = []
    package var queueSelect: UInt32 = 0
    package var queues: [Queue] = []
    package var wasActivated = false

    package init() {}

    /// The status without steps that a driver cannot have taken before others (virtio 1.2, 3.1.1).
    var consistentStatus: DeviceStatus {
        var steps: DeviceStatus = []
        for step in DeviceStatus.steps {
            guard status.contains(step) else { break }
            steps.insert(step)
        }
        return steps.union(status.intersection([.failed, .deviceNeedsReset]))
    }
}
