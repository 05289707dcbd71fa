// SPDX-License-Identifier: Apache-2.0

/// The device-specific configuration of a block device, `struct virtio_blk_config` (virtio 1.2, 5.2.4).
struct BlockConfigurationSpace: Hashable, Sendable {
    /// Where the writeback mode lies, the one field that a driver may write.
    static let writebackOffset: UInt64 = 32

    /// In sectors of 512 bytes.
    var capacity: UInt64
    /// The largest single range of a request, in bytes.
    var sizeMaximum: UInt32
    /// The most ranges of data in one request.
    var segmentMaximum: UInt32
    /// The logical block size in bytes.
    var blockSize: UInt32
    /// How many logical blocks a physical one has, as a power of two.
    var physicalBlockExponent: UInt8
    /// The optimal size of input and output, in logical blocks; 0 where nobody knows.
    var optimalIOSize: UInt32
    /// Whether completed writes may wait for a flush.
    var isWriteback: Bool
    var queueCount: UInt16
    /// Of discard and of write zeroes: the most sectors in one segment, and the most segments.
    var rangeSectorMaximum: UInt32
    var rangeSegmentMaximum: UInt32
    /// In sectors: what discards should be multiples of.
    var discardAlignment: UInt32

    /// All of it, little-endian as the driver sees it, up to the fields of secure erase, which is not offered.
    var bytes: [60 of UInt8] {
        var bytes = [60 of UInt8](repeating: 0)
        func put<T: FixedWidthInteger>(_ value: T, at offset: Int) {
            for index in 0..<T.bitWidth / 8 {
                bytes[offset + index] = UInt8(truncatingIfNeeded: value >> T(8 * index))
            }
        }
        put(capacity, at: 0)
        put(sizeMaximum, at: 8)
        put(segmentMaximum, at: 12)
        // 16: the geometry of a drum, which is not offered.
        put(blockSize, at: 20)
        put(physicalBlockExponent, at: 24)
        // 25: the alignment offset, 0; 26: the minimum, one block.
        put(UInt16(1), at: 26)
        put(optimalIOSize, at: 28)
        put(UInt8(isWriteback ? 1 : 0), at: 32)
        put(queueCount, at: 34)
        put(rangeSectorMaximum, at: 36)
        put(rangeSegmentMaximum, at: 40)
        put(discardAlignment, at: 44)
        put(rangeSectorMaximum, at: 48)
        put(rangeSegmentMaximum, at: 52)
        // Zeroed ranges may become holes.
        put(UInt8(1), at: 56)
        return bytes
    }
}
