// SPDX-License-Identifier: Apache-2.0

import Glibc
import GuestMemory
import Host
import Network
import Storage
import Synchronization
import SystemPackage
import Virtio

/// A toy device with a queue for what arrives, 0, and one for what is sent, 1: as a network device, without a network.
///
/// A frame may take several buffers; the first two bytes of a frame say how many.
final class FrameDevice: QueuedDevice {
    static let frameByteCountMaximum = 4096

    let deviceID: UInt32 = 63
    let features: VirtioFeatures = [.version1, .ringEventIndex, .needsFirst, .dependent]
    let queueMaximumSizes: [UInt16] = [16, 16]
    let queues: QueueServer<FrameHandler>
    var server: any QueueServing { queues }

    /// - Parameters:
    ///   - needsOneBuffer: Whether each frame must lie in one buffer.
    ///   - limiters: For what arrives, and for what is sent.
    /// - Throws: `Errno` where the host has no descriptor left.
    init(needsOneBuffer: Bool = false, limiters: [RateLimiter?] = [nil, nil]) throws {
        queues = try QueueServer(FrameHandler(needsOneBuffer: needsOneBuffer), queueCount: 2, limiters: limiters)
    }

    func accept(_ features: VirtioFeatures) throws(FeatureRefusal) {
        guard !features.contains(.dependent) || features.contains(.needsFirst) else {
            throw FeatureRefusal("bit 1 depends on bit 0")
        }
    }

    /// Lets a frame arrive.
    func arrive(_ frame: [UInt8]) {
        queues.withQueues { handler, _ in handler.arrived.append(frame) }
        queues.processQueue(0)
    }

    /// The frames that the driver has sent.
    var sent: [[UInt8]] { queues.whileLocked { handler, _ in handler.sent } }

    /// Sets for how many frames the peer has room.
    func setRoom(_ count: Int) {
        queues.withQueues { handler, _ in handler.room = count }
    }
}

extension VirtioFeatures {
    static let needsFirst = Self(rawValue: 1)
    static let dependent = Self(rawValue: 2)
}

struct FrameHandler: QueueHandler {
    let needsOneBuffer: Bool
    var arrived: [[UInt8]] = []
    var sent: [[UInt8]] = []
    var room = Int.max

    init(needsOneBuffer: Bool) { self.needsOneBuffer = needsOneBuffer }

    func isReceiving(_ queue: Int) -> Bool { queue == 0 }

    mutating func handle(_ slot: Int, _ queues: inout ServedQueues) throws(VirtqueueFault) -> ChainOutcome {
        let chain = queues.chains[slot]
        guard room > 0 else { return .blocked }
        if let delay = queues.admit(slot, byteCount: chain.readableByteCount, limiter: 1) { return .wait(delay) }
        room -= 1
        var frame: [UInt8] = []
        for range in chain.readable {
            frame += (try? queues.memory?.read(byteCount: Int(range.byteCount), at: range.address)) ?? []
        }
        sent.append(frame)
        return .done(written: 0)
    }

    mutating func receive(into queue: Int, _ queues: inout ServedQueues) throws(VirtqueueFault) -> ReceiveOutcome {
        let maximum = FrameDevice.frameByteCountMaximum
        while !arrived.isEmpty {
            guard try queues.reserve(maximum, in: queue, needsOneBuffer: needsOneBuffer) else { return .noBuffer }
            if let delay = queues.admit(byteCount: arrived[0].count) { return .wait(delay) }
            var frame = arrived.removeFirst()
            frame[0] = UInt8(queues.bufferCount(for: frame.count, in: queue))
            // As readv(2) would.
            var vectors = FrameVectors()
            vectors.fill(frame.count, reservedIn: queue, of: queues)
            unsafe frame.withUnsafeBytes { unsafe vectors.copy($0) }
            queues.commit(byteCount: frame.count, in: queue)
            if queues.isTurnOver { return .again }
        }
        return .idle
    }
}
