// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Storage

/// One request of the driver's on its way through the device; filled again and again.
struct BlockTransfer {
    var request: StorageRequest
    var chain = DescriptorChain()
    /// The virtqueue that it came from, and goes back to.
    var queue = 0
    var kind: BlockRequestHeader.Kind?
    /// The ranges of a discard or write-zeroes request that are still to be done, last first.
    var ranges: [BlockRange] = []

    init(slot: Int) {
        request = StorageRequest(slot: slot)
    }

    /// Points the request's vectors to the guest's bytes, wherever the driver cut the buffer into pieces (2.7.4.1).
    ///
    /// - Parameters:
    ///   - byteCount: The size of the data.
    ///   - memory: The guest's; it outlives the request, because a reset waits for all that is in flight.
    /// - Returns: Whether all bytes are there.
    mutating func fillVectors(byteCount: Int, from memory: GuestMemory) -> Bool {
        unsafe request.vectors.removeAll(keepingCapacity: true)
        let isRead = kind == .read
        return fillVectors(
            from: isRead ? chain.writable : chain.readable,
            skipping: isRead ? 0 : UInt32(BlockRequestHeader.byteCount),
            byteCount: UInt32(byteCount),
            of: memory
        )
    }

    private mutating func fillVectors(
        from ranges: [GuestRange],
        skipping skipped: UInt32,
        byteCount: UInt32,
        of memory: GuestMemory
    ) -> Bool {
        var (skip, left) = (skipped, byteCount)
        for var range in ranges where left > 0 {
            let head = min(skip, range.byteCount)
            skip -= head
            range.byteCount = min(range.byteCount - head, left)
            guard range.byteCount > 0, let start = range.address.advanced(by: UInt64(head)) else { continue }
            range.address = start
            left -= range.byteCount
            guard (try? unsafe memory.appendHostVectors(of: range, to: &request.vectors)) != nil else { return false }
        }
        return left == 0
    }
}
