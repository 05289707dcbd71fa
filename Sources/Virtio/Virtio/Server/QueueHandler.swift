// SPDX-License-Identifier: Apache-2.0

/// The device-specific part of a virtio device: the handling of its driver's buffers.
///
/// A `QueueServer` owns everything else and calls these functions under its lock, so none of them may block for long.
/// A device needs one `handle`, or one `receive`, and a value for its state.
package protocol QueueHandler: ~Copyable, SendableMetatype {
    /// Returns whether the driver fills queue `queue` with empty buffers for data from the host.
    ///
    /// The server calls `receive` for such a queue, and `handle` for all others.
    func isReceiving(_ queue: Int) -> Bool

    /// The virtqueue whose returned buffers nobody waits for, if there is one: the interrupt for another virtqueue announces a few of them
    /// too, and without one they are announced a little later.
    var patientQueue: Int? { get }

    /// Carries out the driver's request in the chain of `slot`.
    ///
    /// The server calls this again for the same chain after `.wait` and `.blocked`, so it must not keep anything of a
    /// chain that it did not answer.
    ///
    /// - Parameters:
    ///   - slot: The chain is `queues.chains[slot]`, its virtqueue `queues.queue(of: slot)`.
    ///   - queues: The virtqueues.
    /// - Returns: The next step for the chain.
    /// - Throws: `VirtqueueFault.malformedRequest` where no answer is possible; the device then needs a reset.
    mutating func handle(_ slot: Int, _ queues: inout ServedQueues) throws(VirtqueueFault) -> ChainOutcome

    /// Moves arrived data from the host into buffers of `queue`; also called on a kick of that queue.
    ///
    /// - Throws: The errors of `ServedQueues.reserve`.
    mutating func receive(into queue: Int, _ queues: inout ServedQueues) throws(VirtqueueFault) -> ReceiveOutcome

    /// Starts the chains that `handle` left `.inFlight`, and returns complete ones; called at the end of each turn.
    mutating func commit(_ queues: inout ServedQueues)

    /// Waits for chains in flight, up to `extent`, and returns them.
    mutating func drain(_ extent: DrainExtent, _ queues: inout ServedQueues)

    /// Ends chains in flight without an answer: none of them touches guest memory afterwards.
    ///
    /// `ServedQueues.abandon` keeps a slot whose work continues, until `release`.
    mutating func cancel(_ queues: inout ServedQueues)
}

extension QueueHandler where Self: ~Copyable {
    package func isReceiving(_ queue: Int) -> Bool { false }
    package var patientQueue: Int? { nil }

    package mutating func handle(_ slot: Int, _ queues: inout ServedQueues) throws(VirtqueueFault) -> ChainOutcome {
        .done(written: 0)
    }

    package mutating func receive(
        into queue: Int,
        _ queues: inout ServedQueues
    ) throws(VirtqueueFault) -> ReceiveOutcome {
        .idle
    }

    package mutating func commit(_ queues: inout ServedQueues) {}
    package mutating func drain(_ extent: DrainExtent, _ queues: inout ServedQueues) {}
    package mutating func cancel(_ queues: inout ServedQueues) {}
}

/// The extent of a drain.
package enum DrainExtent: Hashable, Sendable {
    /// Requests that touch guest memory: enough for a pause, and quick.
    case guestMemory
    /// All requests, as a state needs. A flush takes as long as the host's disk does.
    case everything
}

/// The result of `QueueHandler.handle`.
package enum ChainOutcome: Hashable, Sendable {
    /// The chain goes back to the driver, with this many bytes written from the start of its writable part.
    case done(written: Int)
    /// The handler calls `ServedQueues.complete` later.
    case inFlight
    /// The chain is handled again after this time, and no other of its queue before it.
    case wait(Duration)
    /// The chain is handled again at the next event: a kick of any queue, or `QueueServer.resume`.
    case blocked
}

/// The result of `QueueHandler.receive`.
package enum ReceiveOutcome: Hashable, Sendable {
    /// The host has nothing more: its next event calls `QueueServer.processQueue`.
    case idle
    /// The driver has provided too few buffers (`ServedQueues.reserve` returned false): its next kick continues.
    case noBuffer
    /// The turn is over while the host has more: the server calls again after other events.
    case again
    /// The server calls again after this time.
    case wait(Duration)
}
