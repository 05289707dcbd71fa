// SPDX-License-Identifier: Apache-2.0

package import Host
package import Storage
import Synchronization
package import SystemPackage

/// Serves the virtqueues of one device: everything that is the same for all kinds of devices.
///
/// It owns the interrupt, guest memory, the negotiated features, the virtqueues, the turns, the rate limits, waiting
/// chains, the fault, and drain and reset. The `QueueHandler` decides what happens to a buffer.
///
/// ## Locks
/// One lock, which the bearer of an event takes: the device's thread for kicks and completions, a vCPU for a reset. The
/// interrupt is raised under it, so none comes after a reset.
///
/// ## Turns
/// The lock is held for one turn at most: `turnByteMaximum` bytes, and as many buffers as a virtqueue has descriptors. At
/// most `inFlightByteMaximum` bytes are on their way, unless one request alone has more, so that a pause and a reset have
/// little to wait for. Further requests stay in the virtqueue.
package final class QueueServer<Handler: QueueHandler & ~Copyable>: Sendable {
    let state: Mutex<QueueServerCore<Handler>>
    private let continuation: EventFD
    private let throttle: TimerFD
    /// The interrupt for configuration changes by the host, which do not wait for the lock.
    private let connection = Mutex<(any VirtioInterrupt)?>(nil)
    /// New limiters, which the device's thread will take.
    private let newLimiters = Mutex<[Int: RateLimiter?]>([:])
    private let hasNewLimiters = Atomic<Bool>(false)

    /// - Parameters:
    ///   - handler: The device's own part.
    ///   - queueCount: The number of virtqueues, at most 64.
    ///   - slotCount: The number of chains that may be in flight; `nil` for a device that leaves none `.inFlight`.
    ///   - limiters: The rate limits, by the numbers that the handler gives `ServedQueues.admit`.
    /// - Throws: `Errno` where the host has no descriptor left.
    package init(
        _ handler: consuming sending Handler,
        queueCount: Int,
        slotCount: Int? = nil,
        limiters: [RateLimiter?] = [nil]
    ) throws(Errno) {
        precondition(1...QueueSet.capacity ~= queueCount, "a device has 1 to \(QueueSet.capacity) virtqueues")
        continuation = try EventFD()
        throttle = try TimerFD()
        // One for each virtqueue, so that a waiting chain does not block other virtqueues.
        let queues = ServedQueues(
            queueCount: queueCount,
            slotCount: slotCount ?? queueCount,
            limiters: limiters
        )
        state = Mutex(QueueServerCore(queues, handler, queueCount, continuation: continuation, throttle: throttle))
    }

    // MARK: - Events

    /// The events that the server itself waits for; a device adds its own.
    package var eventSources: [EventLoop.Source] {
        [
            EventLoop.Source(continuation.descriptor) { [self] in resume() },
            EventLoop.Source(throttle.descriptor) { [self] in state.withLock { $0.resumeThrottled() } },
        ]
    }

    /// Serves virtqueue `index`: the driver has sent a notification, or something has arrived from the host.
    package func processQueue(_ index: Int) {
        state.withLock { $0.process(index) }
    }

    /// Continues with waiting chains: for a slot, for their turn, or `.blocked`.
    package func resume() {
        state.withLock { state in
            if hasNewLimiters.exchange(false, ordering: .acquiring) {
                let limiters = newLimiters.withLock { limiters in
                    defer { limiters = [:] }
                    return limiters
                }
                for (index, limiter) in limiters { state.queues.limiters[index] = limiter }
                // Requests that the old limits hold back may continue.
                state.resumeThrottled()
            }
            state.resume()
        }
    }

    /// Replaces a limiter, on the device's thread, so that the caller does not wait.
    package func setLimiter(_ limiter: RateLimiter?, at index: Int) {
        newLimiters.withLock { $0[index] = limiter }
        hasNewLimiters.store(true, ordering: .releasing)
        wake()
    }

    /// Notifies the driver of a changed configuration.
    package func notifyConfigurationChange() {
        connection.withLock { $0 }?.notifyConfigurationChange()
    }

    /// Calls `body` under the lock, and serves nothing: for any thread.
    package func whileLocked<R: Sendable, E: Error>(
        _ body: (inout Handler, inout ServedQueues) throws(E) -> R
    ) throws(E) -> R {
        try state.withLock { state throws(E) in try body(&state.handler, &state.queues) }
    }

    /// Calls `body` under the lock, then continues with waiting chains and notifies the driver of returned buffers.
    ///
    /// For the device's thread alone, like all serving: a handler makes system calls that other threads may not make.
    package func withQueues<R: Sendable, E: Error>(
        _ body: (inout Handler, inout ServedQueues) throws(E) -> R
    ) throws(E) -> R {
        try state.withLock { state throws(E) in
            let result = try body(&state.handler, &state.queues)
            state.resume()
            return result
        }
    }

    /// Calls `body` if the lock is free, and does not wait for it: its holder does the same work later.
    func ifAvailable(_ body: (inout Handler, inout ServedQueues) -> Void) {
        _ = state.withLockIfAvailable { body(&$0.handler, &$0.queues) }
    }

    /// Reads the handler under the lock.
    func read<R: Sendable>(_ body: (borrowing Handler) -> R) -> R {
        state.withLock { body($0.handler) }
    }

    /// Wakes the device's thread, which then continues with waiting chains.
    package func wake() {
        continuation.signal()
    }
}

/// The requests of a transport to the server of a device of any kind.
package protocol QueueServing: AnyObject, Sendable {
    var eventSources: [EventLoop.Source] { get }
    /// The positions of the virtqueues; exact after `drain`.
    var serverState: QueueServerState { get }
    func connect(_ interrupt: any VirtioInterrupt)
    func activate(_ context: ActivationContext) throws(VirtqueueFault)
    func processQueue(_ index: Int)
    func resume()
    func drain(_ extent: DrainExtent)
    func reset()
}

extension QueueServer: QueueServing where Handler: ~Copyable {
    package func connect(_ interrupt: any VirtioInterrupt) {
        connection.withLock { $0 = interrupt }
        state.withLock { $0.queues.interrupt = interrupt }
    }

    package func activate(_ context: ActivationContext) throws(VirtqueueFault) {
        try state.withLock { state throws(VirtqueueFault) in try state.activate(context) }
    }

    /// Waits for chains in flight, and returns buffers that were taken ahead: nothing touches guest memory then, until something
    /// else is called.
    package func drain(_ extent: DrainExtent) {
        state.withLock { $0.drain(extent) }
    }

    /// Forgets the driver; nothing touches guest memory after this returns.
    package func reset() {
        state.withLock { $0.reset() }
    }

    package var serverState: QueueServerState {
        state.withLock { $0.savedState }
    }
}

/// Everything that a snapshot must keep of a `QueueServer`.
///
/// It is taken after `drain`: nothing is in flight then, and chains that were taken but not handled are in their virtqueue again.
package struct QueueServerState: Codable, Hashable, Sendable {
    /// One for each virtqueue, `nil` for those that the driver left alone; empty while no driver has started the device.
    package var queues: [VirtqueueState?] = []
    /// Indicates whether the driver broke a virtqueue, so that the device needs a reset.
    package var isFaulty = false

    package init(queues: [VirtqueueState?] = [], isFaulty: Bool = false) {
        self.queues = queues
        self.isFaulty = isFaulty
    }
}
