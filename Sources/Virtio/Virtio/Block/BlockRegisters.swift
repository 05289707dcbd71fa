// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The device-specific configuration of a block device, `struct virtio_blk_config` (virtio 1.2, 5.2.4).
///
/// The two fields that change are atomic: neither a request nor a read of the configuration waits for the other.
final class BlockRegisters: Sendable {
    /// The offset of the writeback mode, the one field that a driver may write.
    static let writebackOffset: UInt64 = 32
    /// The most ranges of data in one request: header and status take a descriptor each (5.2.6.1).
    static let segmentMaximum = Int(BlockDevice.queueSize) - 2
    /// The largest single range of data, in bytes.
    static let sizeMaximum: UInt32 = 1 << 20
    /// The most data of one request, also for a driver that does not know the two limits before.
    static let transferByteMaximum = segmentMaximum * Int(sizeMaximum)
    /// The most sectors in one segment of a discard or write-zeroes request, 32 MiB, and the most segments: a file
    /// system that cannot make holes writes zeros instead.
    static let rangeSectorMaximum: UInt32 = 1 << 16
    static let rangeSegmentMaximum: UInt32 = 32

    /// In sectors of 512 bytes.
    let capacity: Atomic<UInt64>
    /// Indicates whether completed writes may wait for a flush.
    let isWriteback = Atomic<Bool>(true)
    /// Indicates whether the driver may change that.
    let canSetWriteback = Atomic<Bool>(false)

    /// All of it but the two fields that change.
    private let fixed: ConfigurationSpace

    init(_ disk: DiskProperties, queueCount: Int) {
        capacity = Atomic(disk.byteCount / 512)
        let logical = max(disk.logicalBlockByteCount, 512)
        let physical = max(disk.physicalBlockByteCount, logical)
        // Up to the fields of secure erase, which is not offered.
        var space = ConfigurationSpace(byteCount: 60)
        space.put(Self.sizeMaximum, at: 8)
        space.put(UInt32(Self.segmentMaximum), at: 12)
        // 16: the geometry of a drum, which is not offered.
        space.put(logical, at: 20)
        // The number of logical blocks in a physical one, as a power of two.
        space.put(UInt8((physical / logical).trailingZeroBitCount), at: 24)
        // 25: the alignment offset, 0; 26: the minimum, one block.
        space.put(UInt16(1), at: 26)
        space.put(disk.optimalIOByteCount / logical, at: 28)
        space.put(UInt16(queueCount), at: 34)
        if disk.canDiscard {
            space.put(Self.rangeSectorMaximum, at: 36)
            space.put(Self.rangeSegmentMaximum, at: 40)
            // The alignment of discards, in sectors.
            space.put(physical / 512, at: 44)
            space.put(Self.rangeSectorMaximum, at: 48)
            space.put(Self.rangeSegmentMaximum, at: 52)
        }
        // Zeroed ranges may become holes.
        space.put(UInt8(1), at: 56)
        fixed = space
    }

    /// The configuration as the driver sees it now.
    var space: ConfigurationSpace {
        var space = fixed
        space.put(capacity.load(ordering: .relaxed), at: 0)
        space.put(UInt8(isWriteback.load(ordering: .relaxed) ? 1 : 0), at: Int(Self.writebackOffset))
        return space
    }

    /// Back to the values of a device without a driver.
    func reset() {
        canSetWriteback.store(false, ordering: .relaxed)
        isWriteback.store(true, ordering: .relaxed)
    }

    /// Returns whether the sectors are all on the disk.
    func contains(sector: UInt64, count: UInt64) -> Bool {
        let capacity = capacity.load(ordering: .relaxed)
        return sector <= capacity && count <= capacity - sector
    }
}

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
