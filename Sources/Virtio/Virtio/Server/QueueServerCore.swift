// SPDX-License-Identifier: Apache-2.0

import Host

/// The state behind the lock of a `QueueServer`: the virtqueues, the handler, and the waiting chains.
struct QueueServerCore<Handler: QueueHandler & ~Copyable>: ~Copyable {
    var queues: ServedQueues
    var handler: Handler

    /// The slot of each virtqueue with a chain to handle again.
    private var held: [Int?]
    /// The virtqueues with buffers that no kick will announce.
    private var backlog = QueueSet()
    /// The virtqueues that wait for the timer.
    private var throttled = QueueSet()
    /// The virtqueues that wait for any event.
    private var blocked = QueueSet()
    /// The next time at which the timer fires.
    private var throttleEnd: ContinuousClock.Instant?
    /// The driver broke a virtqueue: chains in flight are finished, no more are taken.
    private var isFaulty = false
    /// The virtqueue that goes first in the next turn.
    private var firstQueue = 0

    private let continuation: EventFD
    private let throttle: TimerFD

    init(
        _ queues: consuming ServedQueues,
        _ handler: consuming Handler,
        _ queueCount: Int,
        continuation: EventFD,
        throttle: TimerFD
    ) {
        self.queues = queues
        self.handler = handler
        held = Array(repeating: nil, count: queueCount)
        self.continuation = continuation
        self.throttle = throttle
    }

    // MARK: - Life

    mutating func activate(_ context: ActivationContext) throws(VirtqueueFault) {
        try queues.activate(context)
        guard let state = context.state else { return }
        isFaulty = state.isFaulty
        // Kicks that were not taken are not part of a state: look at every virtqueue once.
        for index in held.indices where queues.virtqueue(index) != nil { backlog.insert(index) }
        continuation.signal()
    }

    mutating func reset() {
        handler.cancel(&queues)
        queues.reset()
        for index in held.indices { held[index] = nil }
        backlog.removeAll()
        throttled.removeAll()
        blocked.removeAll()
        throttleEnd = nil
        isFaulty = false
    }

    mutating func drain(_ extent: DrainExtent) {
        guard queues.isActive else { return }
        handler.drain(extent, &queues)
        for index in held.indices {
            if queues.reserved[index].count > 0 {
                queues.unreserve(index)
                backlog.insert(index)
            }
            guard let slot = held[index].take() else { continue }
            // The newest of its queue: no chain is taken after a waiting one.
            queues.putBack(slot)
            backlog.insert(index)
        }
        queues.notify()
        // Waiting virtqueues are served when the device's thread resumes.
        backlog.formUnion(throttled)
        backlog.formUnion(blocked)
        throttled.removeAll()
        blocked.removeAll()
        throttleEnd = nil
        if !backlog.isEmpty { continuation.signal() }
    }

    var savedState: QueueServerState {
        QueueServerState(queues: queues.states, isFaulty: isFaulty)
    }

    // MARK: - Events

    /// Serves one virtqueue, and the blocked ones.
    mutating func process(_ index: Int) {
        guard queues.virtqueue(index) != nil, !throttled.contains(index) else { return }
        backlog.insert(index)
        serveBacklog()
    }

    mutating func resume() {
        handler.commit(&queues)
        serveBacklog()
    }

    mutating func resumeThrottled() {
        throttleEnd = nil
        queues.notify()
        backlog.formUnion(throttled)
        throttled.removeAll()
        serveBacklog()
    }

    private mutating func serveBacklog() {
        defer { if queues.notify(unlessOnly: handler.patientQueue) { armThrottle(after: QueueServerLimits.patience) } }
        guard queues.isActive, !isFaulty else { return }
        queues.turnByteCount = QueueServerLimits.turnByteMaximum
        backlog.formUnion(blocked)
        blocked.removeAll()
        var todo = backlog
        backlog.removeAll()
        do throws(VirtqueueFault) {
            while let index = todo.popFirst(from: firstQueue) {
                guard !queues.isTurnOver else {
                    todo.insert(index)
                    backlog.formUnion(todo)
                    firstQueue = index
                    continuation.signal()
                    break
                }
                try handler.isReceiving(index) ? receive(into: index) : serve(index)
            }
        } catch {
            isFaulty = true
            handler.commit(&queues)
            queues.interrupt?.notifyNeedsReset(error)
        }
    }

    // MARK: - A turn

    /// Takes and handles the chains that the driver made available in virtqueue `index`.
    private mutating func serve(_ index: Int) throws(VirtqueueFault) {
        guard let queue = queues.virtqueue(index) else { return }
        var turn = Int(queue.configuration.size)
        queue.disableKicks()
        repeat {
            while true {
                guard turn > 0, !queues.isTurnOver else {
                    backlog.insert(index)
                    firstQueue = index + 1 < held.count ? index + 1 : 0
                    continuation.signal()
                    return handler.commit(&queues)
                }
                // To read an element costs less than to change one.
                let slot = held[index] == nil ? try nextSlot(of: queue, index) : held[index].take()
                guard let slot else { break }
                turn -= 1
                guard try handle(slot, index) else { return handler.commit(&queues) }
            }
            handler.commit(&queues)
            // Without room the next completion continues, and no kick is needed.
            guard hasRoom else { return backlog.insert(index) }
        } while try queue.enableKicks()
    }

    /// Indicates whether another chain may be taken.
    private var hasRoom: Bool {
        queues.hasFreeSlot && queues.inFlightByteCount < QueueServerLimits.inFlightByteMaximum
    }

    /// Takes the next chain, where there is one and room for it.
    private mutating func nextSlot(of queue: Virtqueue, _ index: Int) throws(VirtqueueFault) -> Int? {
        // Many requests that the page cache serves are complete as soon as they are started.
        if !hasRoom { handler.commit(&queues) }
        return hasRoom ? try queues.pop(from: queue, index) : nil
    }

    /// - Returns: Whether the queue may go on.
    private mutating func handle(_ slot: Int, _ index: Int) throws(VirtqueueFault) -> Bool {
        let outcome: ChainOutcome
        do throws(VirtqueueFault) {
            outcome = try handler.handle(slot, &queues)
        } catch {
            queues.release(slot)
            throw error
        }
        switch outcome {
        case .done(let written):
            queues.complete(slot, written: written)
            return true
        case .inFlight:
            return true
        case .wait(let delay):
            held[index] = slot
            wait(delay, index)
            return false
        case .blocked:
            held[index] = slot
            blocked.insert(index)
            return false
        }
    }

    /// Moves arrived data from the host to the driver.
    private mutating func receive(into index: Int) throws(VirtqueueFault) {
        switch try handler.receive(into: index, &queues) {
        case .idle, .noBuffer: break
        case .again:
            backlog.insert(index)
            continuation.signal()
        case .wait(let delay): wait(delay, index)
        }
    }

    private mutating func wait(_ delay: Duration, _ index: Int) {
        throttled.insert(index)
        armThrottle(after: delay)
    }

    private mutating func armThrottle(after delay: Duration) {
        let end = ContinuousClock.now + delay
        // The timer belongs to all virtqueues; an earlier end stands.
        if let throttleEnd, throttleEnd <= end { return }
        throttleEnd = end
        throttle.arm(after: delay)
    }
}

/// The limits on the work that a device does at a time.
enum QueueServerLimits {
    /// The bytes of one turn: a few milliseconds of copying.
    static let turnByteMaximum = 16 << 20
    /// The bytes on their way to or from a disk: less than a second of a slow one.
    static let inFlightByteMaximum = 64 << 20
    /// The time for which the returned buffers of a patient virtqueue wait for another interrupt.
    static let patience = Duration.milliseconds(100)
}
