// SPDX-License-Identifier: Apache-2.0

/// Feature bits (virtio 1.2, section 2.2): 0 to 23 and from 50 on are the device's, those between are for all devices.
package struct VirtioFeatures: OptionSet, Hashable, Sendable, Codable {
    package let rawValue: UInt64

    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// The driver may use descriptors that point to tables of descriptors (2.7.5.3).
    package static let ringIndirectDescriptors = Self(rawValue: 1 << 28)
    /// Notifications are suppressed by index instead of by flag (2.7.7, 2.7.10).
    package static let ringEventIndex = Self(rawValue: 1 << 29)
    /// Not a legacy device; Martlet has no others.
    package static let version1 = Self(rawValue: 1 << 32)
}
