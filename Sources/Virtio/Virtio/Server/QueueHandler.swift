// SPDX-License-Identifier: Apache-2.0

/// The part of a virtio device that is its own: what it does with the buffers of its driver.
///
/// A `QueueServer` owns everything else and calls these functions under its lock, so none of them may block for long.
/// A device thus needs one `handle`, or one `receive`, and a value to keep its state in.
package protocol QueueHandler: ~Copyable, SendableMetatype {
    /// Returns whether the driver fills queue `queue` with empty buffers for what arrives from the host.
    ///
    /// The server calls `receive` for such a queue, and `handle` for all others.
    func isReceiving(_ queue: Int) -> Bool

    /// Does what the driver asks for with the chain in `slot`.
    ///
    /// The server calls this again for the same chain after `.wait` and `.blocked`, so it must not keep anything of a
    /// chain that it did not answer.
    ///
    /// - Parameters:
    ///   - slot: The chain is `queues.chains[slot]`, its virtqueue `queues.queue(of: slot)`.
    ///   - queues: The virtqueues.
    /// - Returns: What becomes of the chain.
    /// - Throws: `VirtqueueFault.malformedRequest` where no answer is possible; the device then needs a reset.
    mutating func handle(_ slot: Int, _ queues: inout ServedQueues) throws(VirtqueueFault) -> ChainOutcome

    /// Moves what has arrived from the host into buffers of `queue`; called on a kick of that queue, too.
    ///
    /// - Throws: What `ServedQueues.reserve` throws.
    mutating func receive(into queue: Int, _ queues: inout ServedQueues) throws(VirtqueueFault) -> ReceiveOutcome

    /// Starts what `handle` left `.inFlight`, and returns what is complete; called at the end of each turn.
    mutating func commit(_ queues: inout ServedQueues)

    /// Waits for what is in flight, as far as `extent` says, and returns it.
    mutating func drain(_ extent: DrainExtent, _ queues: inout ServedQueues)

    /// Ends what is in flight without an answer: nothing of it touches guest memory afterwards.
    ///
    /// A slot that something else is done for is kept by `ServedQueues.abandon`, until `release`.
    mutating func cancel(_ queues: inout ServedQueues)
}

extension QueueHandler where Self: ~Copyable {
    package func isReceiving(_ queue: Int) -> Bool { false }

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

/// The part of the requests in flight that is waited for.
package enum DrainExtent: Hashable, Sendable {
    /// All that touches guest memory: enough for a pause, and never long.
    case guestMemory
    /// All: what a state needs. A flush takes as long as the host's disk does.
    case everything
}

/// The result of `QueueHandler.handle`.
package enum ChainOutcome: Hashable, Sendable {
    /// The chain goes back to the driver, with so many bytes written from the start of its writable part.
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
    /// The host has nothing more: the next event of the host's calls `QueueServer.receive`.
    case idle
    /// The driver has given too few buffers (`ServedQueues.reserve` said so): its next kick goes on.
    case noBuffer
    /// The turn is over while the host has more: the server calls again after other events.
    case again
    /// The server calls again after this time.
    case wait(Duration)
}
