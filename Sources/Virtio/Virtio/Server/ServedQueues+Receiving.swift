// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Network
import Storage

/// Buffers of one virtqueue that were taken before their data has arrived: a ring, oldest first.
struct ReservedBuffers {
    /// As many as a power of two, so that a mask finds a place: each frame looks for several, and a division costs as much as all else.
    private var chains: [DescriptorChain] = []
    private var first = 0
    private(set) var count = 0
    /// The writable bytes of all of them; filling them does not change the places.
    var places = FrameVectors()

    var byteCount: Int { places.byteCount }

    // Not the whole chains, whose copies would count references.
    func head(of index: Int) -> UInt16 { chains[place(of: index)].head }
    func byteCount(of index: Int) -> Int { chains[place(of: index)].writableByteCount }

    private func place(of index: Int) -> Int { (first + index) & (chains.count - 1) }

    /// Takes one more buffer.
    ///
    /// - Returns: Whether there was one.
    mutating func pop(from queue: Virtqueue, in memory: GuestMemory) throws(VirtqueueFault) -> Bool {
        if count == chains.count { grow() }
        let index = place(of: count)
        guard try queue.pop(into: &chains[index]) else { return false }
        count += 1
        guard chains[index].writableByteCount > 0 else {
            throw .malformedRequest("a receive buffer has no writable bytes")
        }
        // By index: each part is looked at in its place, and no reference is counted.
        for part in 0..<chains[index].writable.count { places.append(chains[index].writable[part], in: memory) }
        return true
    }

    /// At most to the size of the queue, because no more buffers are in flight.
    private mutating func grow() {
        var grown = (0..<count).map { chains[place(of: $0)] }
        grown.append(contentsOf: (0..<max(16, count)).map { _ in DescriptorChain() })
        (chains, first) = (grown, 0)
    }

    mutating func removeFirst() {
        places.removeFirst(chains[first].writableByteCount)
        first = place(of: 1)
        count -= 1
    }

    mutating func removeAll() {
        (first, count) = (0, 0)
        places.removeAll()
    }
}

/// Data from the host: buffers are reserved before it is read, and several are returned at once.
///
///     guard try queues.reserve(65_562, in: 0) else { return .noBuffer }
///     frame.fill(65_562, reservedIn: 0, of: queues)
///     let count = readv(tap, frame)
///     // with queues.bufferCount(for: count, in: 0) the header of the first buffer is completed
///     queues.commit(byteCount: count, in: 0)
///
/// Reserved buffers stay reserved for the next frame. The server returns them at a pause, a reset and before a snapshot.
extension ServedQueues {
    /// Takes buffers of `queue` until they have `byteCount` writable bytes together; requests a kick if there are too few.
    ///
    /// `needsOneBuffer` has the first buffer alone hold them (a network device without mergeable buffers). Returns whether they
    /// have.
    package mutating func reserve(
        _ byteCount: Int,
        in queue: Int,
        needsOneBuffer: Bool = false
    ) throws(VirtqueueFault) -> Bool {
        guard let virtqueue = virtqueue(queue), let memory else { return false }
        let wantedCount = needsOneBuffer ? 1 : Int.max
        while reserved[queue].byteCount < byteCount, reserved[queue].count < wantedCount {
            if try reserved[queue].pop(from: virtqueue, in: memory) { continue }
            // A buffer may have come before the driver saw this request.
            guard try virtqueue.enableKicks() else { return false }
        }
        virtqueue.disableKicks()
        guard needsOneBuffer, reserved[queue].byteCount(of: 0) < byteCount else { return true }
        throw .malformedRequest("a receive buffer is smaller than \(byteCount) bytes")
    }

    /// The number of buffers of `queue` that are reserved.
    package func reservedCount(in queue: Int) -> Int { reserved[queue].count }

    /// The number of writable bytes of `queue` that are reserved.
    package func reservedByteCount(in queue: Int) -> Int { reserved[queue].byteCount }

    /// The number of writable bytes of the buffer that is filled first.
    func firstReservedByteCount(in queue: Int) -> Int { reserved[queue].byteCount(of: 0) }

    /// Writes to the reserved buffers of `queue`.
    ///
    /// `offset` is counted through all buffers.
    func writeReserved(_ bytes: RawSpan, to offset: Int = 0, in queue: Int) {
        unsafe bytes.withUnsafeBytes { bytes in unsafe reserved[queue].places.copy(bytes, to: offset) }
    }

    /// The number of reserved buffers that hold `byteCount` bytes; at least one.
    package func bufferCount(for byteCount: Int, in queue: Int) -> Int {
        var (left, count) = (byteCount, 0)
        while left > 0 || count == 0, count < reserved[queue].count {
            left -= reserved[queue].byteCount(of: count)
            count += 1
        }
        return count
    }

    /// Returns the first reserved buffers with `byteCount` bytes in them, all at once.
    ///
    /// The used index is stored once, after all of them: Linux drops a frame over several mergeable buffers of which it
    /// sees only some (`receive_mergeable` in virtio_net.c).
    ///
    /// The bytes are at most those reserved. Returns the number of buffers.
    @discardableResult
    package mutating func commit(byteCount: Int, in queue: Int) -> Int {
        guard let virtqueue = virtqueue(queue) else { return 0 }
        let count = bufferCount(for: byteCount, in: queue)
        var left = byteCount
        for _ in 0..<count {
            let used = min(left, reserved[queue].byteCount(of: 0))
            left -= used
            virtqueue.stageUsed(head: reserved[queue].head(of: 0), byteCount: UInt32(truncatingIfNeeded: used))
            reserved[queue].removeFirst()
        }
        virtqueue.publishUsed()
        noteReturned(queue)
        return count
    }

    /// Returns all reserved buffers to the driver as if they had not been taken, the newest first.
    package mutating func unreserve(_ queue: Int) {
        guard reserved[queue].count > 0 else { return }
        virtqueue(queue)?.unpop(reserved[queue].count)
        reserved[queue].removeAll()
    }
}

/// Rate limits for received data, whose size is known only when it has arrived.
///
/// Each checks first whether there is a limit: to change an array's element costs much more than to read it.
extension ServedQueues {
    /// The time that arriving data must wait before it is read, or `nil` where it may be read now.
    mutating func delay(limiter: Int) -> Duration? {
        limiters[limiter] == nil ? nil : limiters[limiter]?.delay(at: .now)
    }

    /// Counts read data; an excess over the limit delays later data.
    mutating func charge(byteCount: Int, limiter: Int) {
        turnByteCount -= byteCount
        guard limiters[limiter] != nil else { return }
        limiters[limiter]?.charge(bytes: UInt64(byteCount), operations: 1)
    }
}
