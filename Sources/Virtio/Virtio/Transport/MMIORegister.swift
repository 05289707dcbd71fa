// SPDX-License-Identifier: Apache-2.0

/// The registers of a virtio-mmio device, version 2, by their offsets (virtio 1.2, 4.2.2).
///
/// `QueueReset` (0xc0) is not here: without `VIRTIO_F_RING_RESET`, which Martlet does not offer, it is reserved.
package enum MMIORegister: UInt64, CaseIterable, Sendable {
    case magicValue = 0x000
    case version = 0x004
    case deviceID = 0x008
    case vendorID = 0x00c
    case deviceFeatures = 0x010
    case deviceFeaturesSelect = 0x014
    case driverFeatures = 0x020
    case driverFeaturesSelect = 0x024
    case queueSelect = 0x030
    case queueSizeMaximum = 0x034
    case queueSize = 0x038
    case queueReady = 0x044
    case queueNotify = 0x050
    case interruptStatus = 0x060
    case interruptAcknowledge = 0x064
    case status = 0x070
    case queueDescriptorLow = 0x080
    case queueDescriptorHigh = 0x084
    case queueDriverLow = 0x090
    case queueDriverHigh = 0x094
    case queueDeviceLow = 0x0a0
    case queueDeviceHigh = 0x0a4
    case sharedMemorySelect = 0x0ac
    case sharedMemoryLengthLow = 0x0b0
    case sharedMemoryLengthHigh = 0x0b4
    case sharedMemoryBaseLow = 0x0b8
    case sharedMemoryBaseHigh = 0x0bc
    case configurationGeneration = 0x0fc

    /// The value of `magicValue`: "virt".
    package static let magic: UInt32 = 0x7472_6976
    /// The value of `version`; 1 is the legacy interface.
    package static let currentVersion: UInt32 = 2
    /// The value of `vendorID`: "MTLT", in the order of `magic`.
    ///
    /// No registry has it, and no driver reads it.
    package static let martletVendorID: UInt32 = 0x544c_544d
    /// The start of the device-specific configuration.
    package static let configurationSpace: UInt64 = 0x100
}
