// SPDX-License-Identifier: Apache-2.0

package import GuestMemory
package import Storage

/// The virtqueues of a device, for its `QueueHandler`, while the `QueueServer` holds the lock.
///
/// A taken chain occupies a slot until it is complete. Slots, chains and reserved buffers are made once, so that
/// no request allocates.
package struct ServedQueues: ~Copyable {
    /// The guest's memory; `nil` while no driver has started the device.
    package private(set) var memory: GuestMemory?
    /// The features that both sides agreed upon.
    package private(set) var features: VirtioFeatures = []
    package private(set) var chains: [DescriptorChain]
    /// The rate limits, by the numbers that `admit` gets.
    package internal(set) var limiters: [RateLimiter?]

    var interrupt: (any VirtioInterrupt)?
    private(set) var queues: [Virtqueue?] = []
    /// Buffers that were taken for data from the host, by queue.
    var reserved: [ReservedBuffers]

    /// The virtqueue of each slot.
    private var origins: [Int]
    /// The number of bytes that each slot moves, from `admit`.
    private var movedByteCounts: [Int]
    /// The slots that are not in use.
    private var free: [Int]
    /// Indicates whether a slot is in use although its chain was abandoned.
    private var isAbandoned: [Bool]
    /// The number of bytes in flight.
    private(set) var inFlightByteCount = 0
    /// The number of bytes that may still be moved before other events have their turn.
    var turnByteCount = 0
    /// The virtqueues to which buffers were returned since the last interrupt.
    private var returned = QueueSet()

    init(queueCount: Int, slotCount: Int, limiters: [RateLimiter?]) {
        chains = (0..<slotCount).map { _ in DescriptorChain() }
        origins = Array(repeating: 0, count: slotCount)
        movedByteCounts = origins
        free = Array(0..<slotCount)
        isAbandoned = Array(repeating: false, count: slotCount)
        reserved = (0..<queueCount).map { _ in ReservedBuffers() }
        self.limiters = limiters
    }

    // MARK: - The handler

    /// The index of the virtqueue that the chain in `slot` came from.
    package func queue(of slot: Int) -> Int { origins[slot] }

    /// Asks whether the chain in `slot` may move `byteCount` bytes now, and counts them where it may.
    ///
    /// - Returns: The time that the chain must wait, or `nil` where it may start.
    package mutating func admit(_ slot: Int, byteCount: Int, limiter: Int = 0) -> Duration? {
        if let delay = admit(byteCount: byteCount, limiter: limiter) { return delay }
        movedByteCounts[slot] = byteCount
        inFlightByteCount += byteCount
        return nil
    }

    /// Asks whether `byteCount` bytes from the host may be moved now, and counts them where they may.
    ///
    /// - Returns: The time that they must wait, or `nil` where they may be moved.
    package mutating func admit(byteCount: Int, limiter: Int = 0) -> Duration? {
        if limiters[limiter] != nil,
            case .wait(let delay)? = limiters[limiter]?.take(bytes: UInt64(byteCount), operations: 1, at: .now)
        {
            return delay
        }
        turnByteCount -= byteCount
        return nil
    }

    /// Indicates whether this turn has moved its share of bytes: `receive` then returns `.again`.
    package var isTurnOver: Bool { turnByteCount <= 0 }

    /// Returns a chain to the driver.
    ///
    /// - Parameters:
    ///   - slot: The slot of a chain that `handle` left `.inFlight`; free afterwards.
    ///   - written: The number of bytes written from the start of its writable part without a gap (virtio 1.2, 2.7.8.2).
    package mutating func complete(_ slot: Int, written: Int) {
        let index = origins[slot]
        release(slot)
        guard let queue = queues[index] else { return }
        queue.addUsed(head: chains[slot].head, byteCount: UInt32(truncatingIfNeeded: written))
        returned.insert(index)
    }

    // MARK: - The server

    /// Indicates whether a driver has started the device.
    var isActive: Bool { memory != nil }

    var hasFreeSlot: Bool { !free.isEmpty }

    func virtqueue(_ index: Int) -> Virtqueue? {
        queues.indices.contains(index) ? queues[index] : nil
    }

    mutating func activate(_ context: ActivationContext) throws(VirtqueueFault) {
        var queues: [Virtqueue?] = []
        for (index, configuration) in context.queues.enumerated() {
            guard let configuration else {
                queues.append(nil)
                continue
            }
            let saved = context.state.flatMap { $0.queues.indices.contains(index) ? $0.queues[index] : nil }
            queues.append(
                try Virtqueue(
                    configuration,
                    memory: context.memory,
                    features: context.features,
                    state: saved ?? VirtqueueState()
                )
            )
        }
        (self.queues, memory, features) = (queues, context.memory, context.features)
    }

    /// Forgets the driver; nothing is in flight.
    mutating func reset() {
        (queues, memory, features) = ([], nil, [])
        free = chains.indices.filter { !isAbandoned[$0] }
        for slot in movedByteCounts.indices { movedByteCounts[slot] = 0 }
        for index in reserved.indices { reserved[index].removeAll() }
        inFlightByteCount = 0
        returned.removeAll()
    }

    /// Takes the next buffer of `queue` into a free slot.
    ///
    /// - Returns: The slot, or `nil` where the driver has made nothing available.
    mutating func pop(from queue: Virtqueue, _ index: Int) throws(VirtqueueFault) -> Int? {
        guard let slot = free.last, try queue.pop(into: &chains[slot]) else { return nil }
        free.removeLast()
        origins[slot] = index
        return slot
    }

    /// Returns the chain in `slot` to the driver as if it had not been taken; it is the newest of its queue.
    mutating func putBack(_ slot: Int) {
        release(slot)
        queues[origins[slot]]?.unpop(1)
    }

    /// Keeps a slot beyond a reset, for work that still uses its number, until `release`.
    package mutating func abandon(_ slot: Int) { isAbandoned[slot] = true }

    /// Frees a slot without an answer.
    package mutating func release(_ slot: Int) {
        // To read an element costs less than to change one, and hardly any was abandoned.
        if isAbandoned[slot] { isAbandoned[slot] = false }
        inFlightByteCount -= movedByteCounts[slot]
        movedByteCounts[slot] = 0
        free.append(slot)
    }

    /// Notes that buffers of `queue` were returned.
    mutating func noteReturned(_ queue: Int) { returned.insert(queue) }

    /// Raises one interrupt for all returned buffers, where the driver wants it.
    ///
    /// - Parameter patient: A virtqueue whose buffers wait for those of another one, as long as they are few.
    /// - Returns: Whether they do.
    @discardableResult
    mutating func notify(unlessOnly patient: Int? = nil) -> Bool {
        guard !returned.isEmpty, isActive else { return false }
        if let patient, returned.isOnly(patient), queues[patient]?.hasFewUnannounced == true { return true }
        var isWanted = false
        while let index = returned.popFirst(from: 0) {
            if queues[index]?.takeNotification() == true { isWanted = true }
        }
        if isWanted { interrupt?.notifyUsedBuffers() }
        return false
    }

    /// The positions of the virtqueues; exact when nothing is in flight.
    var states: [VirtqueueState?] { queues.map { $0?.state } }
}
