// SPDX-License-Identifier: Apache-2.0

/// The first 16 bytes of every request (virtio 1.2, 5.2.6).
struct BlockRequestHeader: Hashable {
    enum Kind: UInt32 {
        case read = 0
        case write = 1
        case flush = 4
        case getID = 8
        case discard = 11
        case writeZeroes = 13
    }

    static let byteCount = 16

    /// `nil` for a request that this device does not know.
    let kind: Kind?
    /// In units of 512 bytes, for reads and writes.
    let sector: UInt64

    /// - Parameter words: The 16 bytes as two little-endian numbers; the upper half of the first is reserved.
    init(_ words: (UInt64, UInt64)) {
        kind = Kind(rawValue: UInt32(truncatingIfNeeded: words.0))
        sector = words.1
    }
}

/// The last byte of every request (virtio 1.2, 5.2.6).
enum BlockRequestStatus: UInt8 {
    case ok = 0
    case ioError = 1
    case unsupported = 2
}

/// One range of a discard or write-zeroes request, `struct virtio_blk_discard_write_zeroes` (virtio 1.2, 5.2.6).
struct BlockRange: Hashable {
    static let byteCount = 16

    let sector: UInt64
    let sectorCount: UInt32
    /// Bit 0: the range may be unmapped; the others are reserved.
    let flags: UInt32

    /// - Parameter words: The 16 bytes as two little-endian numbers.
    init(_ words: (UInt64, UInt64)) {
        sector = words.0
        sectorCount = UInt32(truncatingIfNeeded: words.1)
        flags = UInt32(truncatingIfNeeded: words.1 >> 32)
    }

    var mayUnmap: Bool { flags & 1 != 0 }
    var hasUnknownFlags: Bool { flags & ~1 != 0 }
}
