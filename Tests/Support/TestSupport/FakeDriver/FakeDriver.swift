// SPDX-License-Identifier: Apache-2.0

import Glibc
package import GuestMemory
import Host
import SystemPackage
package import Virtio

/// A driver of any virtio device, without a transport and without a guest: the tests' end of the virtqueues.
///
/// Made, it has gone the way of virtio 1.2, 3.1.1, up to `DRIVER_OK`.
package final class FakeDriver {
    /// A request on its way.
    package struct Token {
        let queue: Int
        let chain: FakeQueue.PreparedChain
        let writable: [GuestRange]
    }

    /// The result of a request.
    package struct Reply: Equatable {
        /// All bytes that the device could have written, the used length aside.
        package let bytes: [UInt8]
        /// The length in the used element.
        package let usedByteCount: UInt32
    }

    package let device: any VirtioDevice
    package let memory: GuestMemory
    package let features: VirtioFeatures
    package let interrupt = RecordingVirtioInterrupt()
    package private(set) var queues: [FakeQueue] = []
    package let allocator: FakeAllocator
    private let queueSizes: [UInt16]

    /// - Parameters:
    ///   - device: Not connected yet.
    ///   - features: What the driver accepts of what is offered; everything by default.
    ///   - queueSizes: The sizes of the virtqueues; the largest by default.
    ///   - memory: The guest's memory; 4 MiB from 0 on by default.
    /// - Throws: `VirtqueueFault` from the activation, or that memory does not suffice.
    package init(
        _ device: any VirtioDevice,
        features: VirtioFeatures? = nil,
        queueSizes: [UInt16]? = nil,
        memory: GuestMemory? = nil
    ) throws {
        self.device = device
        self.memory =
            try memory ?? GuestMemory(regions: [GuestMemoryRegion(start: 0, byteCount: 4 << 20)])
        self.features = features.map { $0.intersection(device.features) } ?? device.features
        self.queueSizes = queueSizes ?? device.queueMaximumSizes
        allocator = FakeAllocator(self.memory)
        device.connect(interrupt)
        try activate()
    }

    private func activate() throws {
        queues = try queueSizes.map { try FakeQueue(size: $0, features: features, allocator: allocator) }
        try device.accept(features)
        try device.activate(
            ActivationContext(memory: memory, features: features, queues: queues.map(\.configuration))
        )
    }

    /// Resets the device and starts it anew, with empty virtqueues.
    package func reset() throws {
        device.reset()
        allocator.reset()
        try activate()
    }

    // MARK: - Requests

    /// Submits a buffer and kicks, where the device wants to be kicked.
    ///
    /// - Parameters:
    ///   - readable: What the device reads, one descriptor each.
    ///   - writable: How many bytes it may write, one descriptor each.
    ///   - layout: Where the descriptors are.
    ///   - queue: The index of the virtqueue.
    /// - Returns: What to ask for the reply with.
    /// - Throws: `FakeDriverError`, when there are too few descriptors or no memory.
    package func request(
        readable: [[UInt8]] = [],
        writable: [Int] = [],
        layout: FakeQueue.Layout = .direct,
        queue: Int = 0
    ) throws -> Token {
        let readableRanges = try readable.map { bytes in
            let range = try self.range(bytes.count)
            try memory.write(bytes, at: range.address)
            return range
        }
        let writableRanges = try writable.map { try range($0) }
        let chain = try queues[queue].prepare(readable: readableRanges, writable: writableRanges, layout: layout)
        queues[queue].submit(chain)
        if queues[queue].takeKick() { device.processQueue(queue) }
        return Token(queue: queue, chain: chain, writable: writableRanges)
    }

    private func range(_ byteCount: Int) throws -> GuestRange {
        GuestRange(address: try allocator.allocate(byteCount), byteCount: UInt32(byteCount))
    }

    /// Takes the reply to a request, which must be the next one that the device returns in its queue.
    ///
    /// - Parameter token: The request.
    /// - Returns: The reply.
    /// - Throws: `MissedDeadline`, or `FakeDriverError` when another buffer came.
    package func reply(to token: Token) throws -> Reply {
        let queue = queues[token.queue]
        var element = queue.takeUsed()
        if element == nil {
            try interrupt.wait(for: "a used buffer") { _ in
                element = queue.takeUsed()
                return element != nil
            }
        }
        guard let element, element.head == UInt32(token.chain.head) else {
            throw FakeDriverError("another buffer was returned: \(String(describing: element))")
        }
        queue.release(token.chain)
        // The driver is here now: the next buffer is news again.
        queue.setInterrupts(areWanted: true)
        return Reply(
            bytes: try token.writable.flatMap { try memory.read(byteCount: Int($0.byteCount), at: $0.address) },
            usedByteCount: element.byteCount
        )
    }

    /// Submits a buffer and waits for it.
    ///
    /// - Parameters:
    ///   - readable: What the device reads, one descriptor each.
    ///   - writable: How many bytes it may write, one descriptor each.
    ///   - layout: Where the descriptors are.
    ///   - queue: The index of the virtqueue.
    /// - Returns: The reply.
    /// - Throws: As `request` and `reply`.
    package func perform(
        readable: [[UInt8]] = [],
        writable: [Int] = [],
        layout: FakeQueue.Layout = .direct,
        queue: Int = 0
    ) throws -> Reply {
        try reply(to: try request(readable: readable, writable: writable, layout: layout, queue: queue))
    }
}

extension VirtioDevice {
    /// Calls the handlers of all events that have happened, as the device's thread would.
    package func handleEvents() {
        for source in eventSources {
            var set = pollfd(fd: source.descriptor.rawValue, events: Int16(POLLIN), revents: 0)
            if unsafe poll(&set, 1, 0) == 1 { source.handle() }
        }
    }
}
