// SPDX-License-Identifier: Apache-2.0

import GuestMemory
package import Network

/// Places in guest memory, for back ends and sockets.
extension FrameVectors {
    /// Points to all bytes that the driver wants sent by a chain.
    mutating func fill(readableIn slot: Int, of queues: borrowing ServedQueues) {
        removeAll()
        guard let memory = queues.memory else { return }
        // By index: each part is looked at in its place, and no reference is counted.
        for index in 0..<queues.chains[slot].readable.count { append(queues.chains[slot].readable[index], in: memory) }
    }

    /// Adds the bytes of a range, which is guest memory.
    mutating func append(_ range: GuestRange, in memory: GuestMemory) {
        if let vector = unsafe memory.hostVector(of: range) { return unsafe append(vector) }
        var vectors: [HostVector] = unsafe []
        // A range that was guest memory when the chain was taken still is.
        try? unsafe memory.appendHostVectors(of: range, to: &vectors)
        for index in unsafe vectors.indices { unsafe append(vectors[index]) }
    }

    /// Points to bytes that are reserved of a virtqueue.
    ///
    /// `offset` is that of the first byte.
    package mutating func fill(
        _ byteCount: Int,
        from offset: Int = 0,
        reservedIn queue: Int,
        of queues: borrowing ServedQueues
    ) {
        replace(by: queues.reserved[queue].places, from: offset, count: byteCount)
    }
}
