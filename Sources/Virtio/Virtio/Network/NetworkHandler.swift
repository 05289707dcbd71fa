// SPDX-License-Identifier: Apache-2.0

import Devices
import GuestMemory
import Network

/// Moves frames between virtqueues and back ends: queue 0 receives, queue 1 sends, and so on for each pair (virtio 1.2, 5.1.2).
struct NetworkHandler: QueueHandler {
    /// The numbers of the rate limiters.
    static let receiveLimiter = 0
    static let sendLimiter = 1
    /// Header and frame; Firecracker's limit, too.
    static var byteCountMaximum: Int { NetworkFrame.headerByteCount + NetworkFrame.maximumByteCount }

    /// The number of frames that the guest gets before other events have their turn.
    private static let turnFrameMaximum = 256

    private var pairs: [Pair]
    private var isMergeable = false
    /// The most that arrives at once, its header included.
    private var receiveByteCount = NetworkHandler.byteCountMaximum
    var statistics = NetworkStatistics()
    private let log: GuestFaultLog
    private let hostFaults: GuestFaultLog
    private let link: NetworkLink
    /// The guest's address, the first byte lowest.
    private let address: UInt64
    /// The header of a frame that needs nothing done.
    private let header = [UInt8](repeating: 0, count: NetworkFrame.headerByteCount)

    /// The parts of one back end; each direction has its own vectors, because a sent frame may have to wait.
    private struct Pair {
        let backend: any NetworkBackend
        /// Asked once: each question to a back end retains and releases it.
        let hasOffloadHeader: Bool
        var received = FrameVectors()
        var sent = FrameVectors()
        /// The chain that is handled next has passed the rate limit already.
        var isAdmitted = false
        var hasEnded = false

        // Mutating, so that it looks at the pair in its place: a copy retains and releases what is in it.

        /// Sends the frame in a chain.
        ///
        /// - Returns: The answer of the back end, and whether the frame has `address` as its sender's.
        mutating func send(
            _ slot: Int,
            of queues: borrowing ServedQueues,
            from address: UInt64
        ) -> (NetworkSending, isOwn: Bool) {
            sent.fill(readableIn: slot, of: queues)
            if !hasOffloadHeader { sent.removeFirst(NetworkFrame.headerByteCount) }
            let isOwn = sent.have(address, count: 6, at: (hasOffloadHeader ? NetworkFrame.headerByteCount : 0) + 6)
            return (backend.send(&sent), isOwn)
        }
    }

    init(
        _ backends: [any NetworkBackend],
        address: MACAddress,
        link: NetworkLink,
        log: GuestFaultLog,
        hostFaults: GuestFaultLog
    ) {
        pairs = backends.map { Pair(backend: $0, hasOffloadHeader: $0.hasOffloadHeader) }
        self.address = address.bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
        (self.link, self.log, self.hostFaults) = (link, log, hostFaults)
    }

    func isReceiving(_ queue: Int) -> Bool { queue & 1 == 0 }

    // MARK: - The driver

    /// Adapts to the features that a driver has accepted.
    ///
    /// `mtu` is the size of the largest packet, where it is known. Throws where a back end refuses the offloads.
    mutating func start(_ features: VirtioFeatures, mtu: UInt16?) throws(NetworkError) {
        isMergeable = features.contains(.networkMergeableBuffers)
        // 5.1.6.3.1: the least that a driver must give where a frame lies in one buffer; a larger one gets larger frames.
        receiveByteCount = NetworkFrame.headerByteCount + 1514
        if isMergeable {
            let largest = mtu.map { Int($0) + NetworkFrame.minimumByteCount + 8 } ?? NetworkFrame.maximumByteCount
            let isLarge = features.hasLargeNetworkFrames
            receiveByteCount = isLarge ? Self.byteCountMaximum : NetworkFrame.headerByteCount + largest
            receiveByteCount = min(receiveByteCount, Self.byteCountMaximum)
        }
        for pair in pairs { try pair.backend.setOffloads(features.guestNetworkOffloads) }
    }

    mutating func cancel(_ queues: inout ServedQueues) {
        for index in pairs.indices {
            pairs[index].isAdmitted = false
            pairs[index].sent.removeAll()
            pairs[index].received.removeAll()
        }
        isMergeable = false
    }

    // MARK: - Sending

    mutating func handle(_ slot: Int, _ queues: inout ServedQueues) throws(VirtqueueFault) -> ChainOutcome {
        let index = queues.queue(of: slot) / 2
        let byteCount = queues.chains[slot].readableByteCount
        guard NetworkFrame.headerByteCount + NetworkFrame.minimumByteCount...Self.byteCountMaximum ~= byteCount else {
            statistics.malformedFrames += 1
            log.record("a frame of \(byteCount) bytes")
            return .done(written: 0)
        }
        let isRetried = pairs[index].isAdmitted
        if !isRetried, let delay = queues.admit(slot, byteCount: byteCount, limiter: Self.sendLimiter) {
            statistics.sendThrottled += 1
            return .wait(delay)
        }
        let mustWait = send(slot, byteCount, index, &queues, isRetried: isRetried)
        // To read an element costs less than to change one.
        if mustWait != isRetried { pairs[index].isAdmitted = mustWait }
        return mustWait ? .blocked : .done(written: 0)
    }

    /// - Returns: Whether the frame must wait.
    private mutating func send(
        _ slot: Int,
        _ byteCount: Int,
        _ index: Int,
        _ queues: inout ServedQueues,
        isRetried: Bool
    ) -> Bool {
        guard queues.isActive, !pairs[index].hasEnded else {
            statistics.sendFailures += 1
            return false
        }
        let (answer, isOwn) = pairs[index].send(slot, of: queues, from: address)
        if !isOwn, !isRetried { statistics.spoofedAddresses += 1 }
        switch answer {
        case .sent:
            statistics.sentPackets += 1
            statistics.sentBytes += UInt64(byteCount - NetworkFrame.headerByteCount)
        case .full:
            statistics.sendBlocked += 1
            return true
        case .dropped(let error):
            statistics.sendFailures += 1
            log.record("the host did not take a frame of \(byteCount) bytes: \(error)")
        case .closed(let error):
            statistics.sendFailures += 1
            end(index, error, &queues)
        }
        return false
    }

    // MARK: - Receiving

    mutating func receive(into queue: Int, _ queues: inout ServedQueues) throws(VirtqueueFault) -> ReceiveOutcome {
        let index = queue / 2
        guard !pairs[index].hasEnded else { return .idle }
        for _ in 0..<Self.turnFrameMaximum {
            guard try queues.reserve(receiveByteCount, in: queue, needsOneBuffer: !isMergeable) else {
                statistics.missingReceiveBuffers += 1
                return .noBuffer
            }
            if let delay = queues.delay(limiter: Self.receiveLimiter) {
                statistics.receiveThrottled += 1
                return .wait(delay)
            }
            guard let byteCount = receiveFrame(queue, index, &queues) else { return .idle }
            guard byteCount > 0 else { continue }
            queues.charge(byteCount: byteCount, limiter: Self.receiveLimiter)
            queues.commit(byteCount: byteCount, in: queue)
            statistics.receivedPackets += 1
            statistics.receivedBytes += UInt64(byteCount - NetworkFrame.headerByteCount)
            if queues.isTurnOver { break }
        }
        return .again
    }

    /// Receives a frame into the reserved buffers, after its header.
    ///
    /// - Returns: The size of both; 0 where it was lost, nil where there is none.
    private mutating func receiveFrame(_ queue: Int, _ index: Int, _ queues: inout ServedQueues) -> Int? {
        let headerByteCount = pairs[index].hasOffloadHeader ? 0 : NetworkFrame.headerByteCount
        switch receive(queue, index, &queues, behind: headerByteCount) {
        case .frame(let frameByteCount):
            let byteCount = frameByteCount + headerByteCount
            writeHeader(byteCount, queue, queues, isWhole: headerByteCount == 0)
            return byteCount
        case .empty:
            return nil
        case .dropped:
            statistics.receiveFailures += 1
            return 0
        case .closed(let error):
            statistics.receiveFailures += 1
            end(index, error, &queues)
            return nil
        }
    }

    private mutating func receive(
        _ queue: Int,
        _ index: Int,
        _ queues: inout ServedQueues,
        behind headerByteCount: Int
    ) -> NetworkReceiving {
        // No copy of the places where the back end fills all of them.
        if headerByteCount == 0 { return pairs[index].backend.receive(into: &queues.reserved[queue].places) }
        let place = min(queues.reservedByteCount(in: queue), Self.byteCountMaximum) - headerByteCount
        pairs[index].received.fill(place, from: headerByteCount, reservedIn: queue, of: queues)
        return pairs[index].backend.receive(into: &pairs[index].received)
    }

    /// Completes the header before a frame: the number of its buffers is the device's to say (5.1.6.4.1).
    private func writeHeader(_ byteCount: Int, _ queue: Int, _ queues: borrowing ServedQueues, isWhole: Bool) {
        if !isWhole { unsafe queues.writeReserved(header.span.bytes, in: queue) }
        let count = UInt16(truncatingIfNeeded: queues.bufferCount(for: byteCount, in: queue)).littleEndian
        let offset = NetworkFrame.headerByteCount - MemoryLayout.size(ofValue: count)
        unsafe withUnsafeBytes(of: count) { bytes in
            unsafe queues.writeReserved(RawSpan(_unsafeBytes: bytes), to: offset, in: queue)
        }
    }

    /// Sends frames that the back ends have kept.
    mutating func commit(_ queues: inout ServedQueues) {
        for index in pairs.indices where !pairs[index].hasEnded {
            if case .closed(let error) = pairs[index].backend.flush() { end(index, error, &queues) }
        }
    }

    // MARK: - The host

    /// Ends all pairs: the host's side is gone.
    mutating func end(_ error: NetworkError, _ queues: inout ServedQueues) {
        for index in pairs.indices { end(index, error, &queues) }
    }

    private mutating func end(_ index: Int, _ error: NetworkError, _ queues: inout ServedQueues) {
        guard !pairs[index].hasEnded else { return }
        pairs[index].hasEnded = true
        guard pairs.allSatisfy(\.hasEnded) else { return }
        hostFaults.record("\(error): its link is down from now on")
        link.set(isUp: false, isFinal: true, queues.interrupt)
    }
}
