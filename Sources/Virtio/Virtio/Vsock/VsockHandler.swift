// SPDX-License-Identifier: Apache-2.0

import Network

/// Moves packets between the three virtqueues of a vsock device and its connections (virtio 1.2, 5.10.2).
struct VsockHandler: QueueHandler {
    static let receiveQueue = 0
    static let sendQueue = 1
    static let eventQueue = 2
    /// Header and data; Linux takes no more data in one packet.
    private static let packetByteMaximum = VsockPacket.headerByteCount + 65_536
    /// The number of packets that the guest gets before other events have their turn.
    private static let turnPacketMaximum = 256

    var muxer: VsockMuxer
    private var vectors = FrameVectors()
    private var header = [UInt8](repeating: 0, count: VsockPacket.headerByteCount)
    private var resetNews = ResetNews.none

    /// The progress of telling the guest that its connections have ended (5.10.6.7).
    private enum ResetNews: Equatable {
        case none
        case due
        /// It has the event, and had given so many buffers for others.
        case told(bufferCount: Int)
    }

    init(_ muxer: consuming VsockMuxer) { self.muxer = muxer }

    mutating func restore(nextHostPort: UInt32?) {
        if let nextHostPort { muxer.restore(nextHostPort: nextHostPort) }
        endConnections()
    }

    /// Ends all connections, and notifies the guest, as soon as the device's thread serves its queues.
    mutating func endConnections() { resetNews = .due }

    // A guest frees what it sent when an answer or new credit comes, and waits for neither buffers nor memory before that.
    var patientQueue: Int? { Self.sendQueue }

    func isReceiving(_ queue: Int) -> Bool { queue != Self.sendQueue }

    // MARK: - From the guest

    mutating func handle(_ slot: Int, _ queues: inout ServedQueues) throws(VirtqueueFault) -> ChainOutcome {
        guard let memory = queues.memory else { return .done(written: 0) }
        let chain = queues.chains[slot]
        guard chain.readableByteCount >= VsockPacket.headerByteCount else {
            throw .malformedRequest("a packet of \(chain.readableByteCount) bytes has no header")
        }
        let packet = VsockPacket(chain.readable, in: memory)
        guard Int(packet.byteCount) <= chain.readableByteCount - VsockPacket.headerByteCount else {
            throw .malformedRequest("a packet's data is \(packet.byteCount) bytes, more than its buffer")
        }
        vectors.fill(readableIn: slot, of: queues)
        vectors.removeFirst(VsockPacket.headerByteCount)
        vectors.keepFirst(Int(packet.byteCount))
        _ = queues.admit(byteCount: Int(packet.byteCount))
        muxer.take(packet, &vectors)
        return .done(written: 0)
    }

    // MARK: - For the guest

    mutating func receive(into queue: Int, _ queues: inout ServedQueues) throws(VirtqueueFault) -> ReceiveOutcome {
        if queue == Self.eventQueue { return try tellOfReset(&queues) }
        // A connection that is made before the guest has dropped the old ones would be dropped with them.
        guard resetNews == .none else { return .idle }
        muxer.acceptAgain()
        var turn = Self.turnPacketMaximum
        while muxer.hasPackets {
            guard turn > 0, !queues.isTurnOver else { return .again }
            guard try queues.reserve(VsockPacket.headerByteCount, in: queue, needsOneBuffer: true) else {
                return .noBuffer
            }
            turn -= 1
            guard let byteCount = fillPacket(queues) else { continue }
            _ = queues.admit(byteCount: byteCount)
            queues.commit(byteCount: byteCount, in: queue)
        }
        return .idle
    }

    /// Fills the first reserved buffer with the next packet.
    ///
    /// - Returns: The size of the packet with its header; nil where there was none after all.
    private mutating func fillPacket(_ queues: borrowing ServedQueues) -> Int? {
        let queue = Self.receiveQueue
        let place = min(queues.firstReservedByteCount(in: queue), Self.packetByteMaximum)
        let headerByteCount = VsockPacket.headerByteCount
        vectors.fill(place - headerByteCount, from: headerByteCount, reservedIn: queue, of: queues)
        guard let packet = muxer.nextPacket(&vectors) else { return nil }
        packet.write(to: &header)
        unsafe queues.writeReserved(header.span.bytes, in: queue)
        return headerByteCount + Int(packet.byteCount)
    }

    // MARK: - Life

    mutating func cancel(_ queues: inout ServedQueues) {
        muxer.forgetGuest()
        vectors.removeAll()
        resetNews = .none
    }

    /// Tells the guest that its connections have ended, and learns when it knows.
    private mutating func tellOfReset(_ queues: inout ServedQueues) throws(VirtqueueFault) -> ReceiveOutcome {
        let queue = Self.eventQueue
        if resetNews == .due {
            muxer.forgetGuest()
            guard try queues.reserve(4, in: queue, needsOneBuffer: true) else { return .noBuffer }
            // VIRTIO_VSOCK_EVENT_TRANSPORT_RESET is 0.
            let event: [UInt8] = [0, 0, 0, 0]
            unsafe queues.writeReserved(event.span.bytes, in: queue)
            queues.commit(byteCount: 4, in: queue)
            // With all others taken, the next kick says that the driver gave this one back: it has seen the event.
            _ = try queues.reserve(.max, in: queue)
            resetNews = .told(bufferCount: queues.reservedCount(in: queue))
            return .noBuffer
        }
        if case .told(let bufferCount) = resetNews {
            _ = try queues.reserve(.max, in: queue)
            if queues.reservedCount(in: queue) > bufferCount { resetNews = .none }
        }
        return .noBuffer
    }
}
