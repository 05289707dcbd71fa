// SPDX-License-Identifier: Apache-2.0

extension VirtioFeatures {
    /// Block devices (virtio 1.2, 5.2.3); features that are missing here are for legacy devices, zoned or erasable ones.
    package static let blockSizeMaximum = Self(rawValue: 1 << 1)
    package static let blockSegmentMaximum = Self(rawValue: 1 << 2)
    package static let blockReadOnly = Self(rawValue: 1 << 5)
    package static let blockBlockSize = Self(rawValue: 1 << 6)
    package static let blockFlush = Self(rawValue: 1 << 9)
    package static let blockTopology = Self(rawValue: 1 << 10)
    package static let blockConfigurableWriteback = Self(rawValue: 1 << 11)
    package static let blockMultiqueue = Self(rawValue: 1 << 12)
    package static let blockDiscard = Self(rawValue: 1 << 13)
    package static let blockWriteZeroes = Self(rawValue: 1 << 14)
}
