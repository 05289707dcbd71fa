// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Network

/// Places in guest memory, for back ends and sockets.
extension FrameVectors {
    /// Points to all bytes of `ranges`, which are guest memory.
    mutating func fill(_ ranges: [GuestRange], in memory: GuestMemory) {
        removeAll()
        for range in ranges {
            // Ranges that were guest memory when the chain was taken still are.
            try? unsafe append(byteCount: Int(range.byteCount)) { vectors throws(GuestMemoryError) in
                try unsafe memory.appendHostVectors(of: range, to: &vectors)
            }
        }
    }

    /// Points to the first `byteCount` bytes that are reserved of a virtqueue.
    mutating func fill(_ byteCount: Int, reservedIn queue: Int, of queues: borrowing ServedQueues) {
        removeAll()
        unsafe append(byteCount: byteCount) { vectors in
            unsafe queues.appendReservedVectors(byteCount: byteCount, in: queue, to: &vectors)
        }
    }
}
