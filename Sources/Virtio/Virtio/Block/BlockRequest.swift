// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Storage

/// One request of the driver on its way through the device (virtio 1.2, 5.2.6); filled again and again.
struct BlockRequest {
    enum Kind: UInt32 {
        case read = 0
        case write = 1
        case flush = 4
        case getID = 8
        case discard = 11
        case writeZeroes = 13
    }

    /// The last byte of every request.
    enum Status: UInt8 {
        case ok = 0
        case ioError = 1
        case unsupported = 2
    }

    /// One range of a discard or write-zeroes request, `struct virtio_blk_discard_write_zeroes`.
    struct Range: Hashable {
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

    /// The first 16 bytes of every request: the kind, a reserved word, and the sector of reads and writes.
    static let headerByteCount = 16

    /// The operations of the engine.
    var order: StorageRequest
    /// `nil` for a request that this device does not know.
    var kind: Kind?
    /// The ranges of a discard or write-zeroes request that are still to be done, last first.
    var ranges: [Range] = []
    /// Indicates whether the engine has the order.
    var isWithEngine = false
    /// A reset came while the engine did what does not touch guest memory: nobody waits for the answer.
    var isAbandoned = false

    init(slot: Int) {
        order = StorageRequest(slot: slot)
    }

    /// Indicates whether the engine moves data between guest memory and the disk for it.
    var isTransfer: Bool { kind == .read || kind == .write }

    /// Points the order's vectors to the guest's bytes, wherever the driver cut the buffer into pieces (2.7.4.1).
    ///
    /// - Parameters:
    ///   - ranges: The part of the chain that has the data.
    ///   - skipped: The number of bytes before the data.
    ///   - byteCount: The size of the data.
    ///   - sizeMaximum: The largest piece that the driver may use.
    ///   - memory: The guest's; it outlives the order, because a reset waits for all that touches it.
    /// - Returns: Whether all bytes are there, in pieces that are not too large.
    mutating func fillVectors(
        from ranges: [GuestRange],
        skipping skipped: Int,
        byteCount: Int,
        sizeMaximum: UInt32,
        of memory: GuestMemory
    ) -> Bool {
        unsafe order.vectors.removeAll(keepingCapacity: true)
        var (skip, left) = (UInt32(skipped), UInt32(byteCount))
        for var range in ranges where left > 0 {
            let head = min(skip, range.byteCount)
            skip -= head
            range.byteCount = min(range.byteCount - head, left)
            guard range.byteCount > 0, let start = range.address.advanced(by: UInt64(head)) else { continue }
            guard range.byteCount <= sizeMaximum else { return false }
            range.address = start
            left -= range.byteCount
            guard (try? unsafe memory.appendHostVectors(of: range, to: &order.vectors)) != nil else { return false }
        }
        return left == 0
    }
}
