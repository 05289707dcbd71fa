// SPDX-License-Identifier: Apache-2.0

/// The device status field (virtio 1.2, 2.1).
package struct DeviceStatus: OptionSet, Hashable, Sendable, Codable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    package static let acknowledge = Self(rawValue: 1 << 0)
    package static let driver = Self(rawValue: 1 << 1)
    package static let driverOK = Self(rawValue: 1 << 2)
    package static let featuresOK = Self(rawValue: 1 << 3)
    package static let deviceNeedsReset = Self(rawValue: 1 << 6)
    package static let failed = Self(rawValue: 1 << 7)

    /// The steps of a driver's initialisation, in the only order in which they can be taken (3.1.1).
    package static let steps: [Self] = [.acknowledge, .driver, .featuresOK, .driverOK]

    /// The bits that a driver sets; all others are the device's or reserved.
    package static let settableByDriver: Self = [.acknowledge, .driver, .featuresOK, .driverOK, .failed]

    package static let all: Self = settableByDriver.union(.deviceNeedsReset)
}
