// SPDX-License-Identifier: Apache-2.0

package import GuestMemory

/// Buffers of one virtqueue that were taken before what fills them has arrived: a ring, oldest first.
struct ReservedBuffers {
    private var chains: [DescriptorChain] = []
    private var first = 0
    private(set) var count = 0
    private(set) var byteCount = 0

    subscript(index: Int) -> DescriptorChain { chains[(first + index) % chains.count] }

    /// Takes one more buffer.
    ///
    /// - Returns: Whether there was one.
    mutating func pop(from queue: Virtqueue) throws(VirtqueueFault) -> Bool {
        if count == chains.count { grow() }
        let place = (first + count) % chains.count
        guard try queue.pop(into: &chains[place]) else { return false }
        count += 1
        byteCount += chains[place].writableByteCount
        guard chains[place].writableByteCount > 0 else {
            throw .malformedRequest("a buffer for what arrives has no writable bytes")
        }
        return true
    }

    /// At most to the size of the queue, because no more buffers are in flight.
    private mutating func grow() {
        var grown = (0..<count).map { self[$0] }
        grown.append(contentsOf: (0..<max(16, count)).map { _ in DescriptorChain() })
        (chains, first) = (grown, 0)
    }

    mutating func removeFirst() {
        byteCount -= chains[first].writableByteCount
        first = (first + 1) % chains.count
        count -= 1
    }

    mutating func removeAll() {
        (first, count, byteCount) = (0, 0, 0)
    }
}

/// Data from the host: buffers are reserved before it is read, and several are returned at once.
///
///     guard try queues.reserve(65_562, in: 0) else { return .noBuffer }
///     queues.appendReservedVectors(byteCount: 65_562, in: 0, to: &vectors)
///     let count = readv(tap, vectors)
///     // with queues.bufferCount(for: count, in: 0) the header of the first buffer is completed
///     queues.commit(byteCount: count, in: 0)
///
/// What is reserved stays so for the next frame. The server gives it back at a pause, a reset and before a snapshot.
extension ServedQueues {
    /// Takes buffers of `queue` until they have `byteCount` writable bytes together; asks for a kick where they have not.
    ///
    /// - Parameters:
    ///   - byteCount: The most that may arrive at once.
    ///   - queue: The index of the virtqueue.
    ///   - needsOneBuffer: Whether the first buffer alone has to hold them (a network device without mergeable buffers).
    /// - Returns: Whether they have.
    /// - Throws: What is wrong with the queue or a buffer.
    package mutating func reserve(
        _ byteCount: Int,
        in queue: Int,
        needsOneBuffer: Bool = false
    ) throws(VirtqueueFault) -> Bool {
        guard let virtqueue = virtqueue(queue) else { return false }
        let wantedCount = needsOneBuffer ? 1 : Int.max
        while reserved[queue].byteCount < byteCount, reserved[queue].count < wantedCount {
            if try reserved[queue].pop(from: virtqueue) { continue }
            // A buffer may have come before the driver saw this wish.
            guard try virtqueue.enableKicks() else { return false }
        }
        virtqueue.disableKicks()
        guard needsOneBuffer, reserved[queue][0].writableByteCount < byteCount else { return true }
        throw .malformedRequest("a buffer for what arrives is smaller than \(byteCount) bytes")
    }

    /// The number of buffers of `queue` that are reserved.
    package func reservedCount(in queue: Int) -> Int { reserved[queue].count }

    /// The reserved buffer number `index`, 0 for the one that is filled first.
    package func reservedChain(_ index: Int, in queue: Int) -> DescriptorChain { reserved[queue][index] }

    /// Adds where the first `byteCount` writable bytes that are reserved lie in this process.
    ///
    /// - Parameters:
    ///   - byteCount: How many bytes.
    ///   - queue: The index of the virtqueue.
    ///   - vectors: For a call by which the kernel fills them; see `GuestMemory.appendHostVectors`.
    @unsafe
    package func appendReservedVectors(byteCount: Int, in queue: Int, to vectors: inout [HostVector]) {
        guard let memory else { return }
        var left = byteCount
        for index in 0..<reserved[queue].count where left > 0 {
            for var range in reserved[queue][index].writable where left > 0 {
                range.byteCount = UInt32(min(left, Int(range.byteCount)))
                left -= Int(range.byteCount)
                // Ranges that were guest memory when the chain was taken still are.
                try? unsafe memory.appendHostVectors(of: range, to: &vectors)
            }
        }
    }

    /// The number of reserved buffers that hold `byteCount` bytes; at least one.
    package func bufferCount(for byteCount: Int, in queue: Int) -> Int {
        var (left, count) = (byteCount, 0)
        while left > 0 || count == 0, count < reserved[queue].count {
            left -= reserved[queue][count].writableByteCount
            count += 1
        }
        return count
    }

    /// Returns the first reserved buffers with `byteCount` bytes in them, all at once.
    ///
    /// The used index is stored once, after all of them: Linux drops a frame over several mergeable buffers of which it
    /// sees only some (`receive_mergeable` in virtio_net.c).
    ///
    /// - Parameters:
    ///   - byteCount: How many bytes were written to them; at most what is reserved.
    ///   - queue: The index of the virtqueue.
    /// - Returns: How many buffers went back.
    @discardableResult
    package mutating func commit(byteCount: Int, in queue: Int) -> Int {
        guard let virtqueue = virtqueue(queue) else { return 0 }
        let count = bufferCount(for: byteCount, in: queue)
        var left = byteCount
        for _ in 0..<count {
            let chain = reserved[queue][0]
            let used = min(left, chain.writableByteCount)
            left -= used
            virtqueue.stageUsed(head: chain.head, byteCount: UInt32(truncatingIfNeeded: used))
            reserved[queue].removeFirst()
        }
        virtqueue.publishUsed()
        noteReturned(queue)
        return count
    }

    /// Gives all reserved buffers back to the driver as if they had not been taken, the newest first.
    package mutating func unreserve(_ queue: Int) {
        guard reserved[queue].count > 0 else { return }
        virtqueue(queue)?.unpop(reserved[queue].count)
        reserved[queue].removeAll()
    }
}
