// SPDX-License-Identifier: Apache-2.0

import Devices
import Glibc
import GuestMemory
package import Host
package import Storage
import Synchronization
package import SystemPackage

/// A virtio entropy device (virtio 1.2, section 5.4): gives the driver random numbers of the host's kernel.
package final class EntropyDevice: VirtioDevice {
    /// The most that one request gets; the driver asks again for more.
    package static let requestByteCountMaximum = 1 << 16
    private static let queueSize: UInt16 = 256

    package let deviceID: UInt32 = 4
    package let features: VirtioFeatures = [.version1, .ringIndirectDescriptors, .ringEventIndex]
    package let queueMaximumSizes = [EntropyDevice.queueSize]

    /// Fills all of the buffer, or says that it cannot.
    package typealias RandomSource = @Sendable (inout MutableRawSpan) -> Bool

    private struct State {
        var interrupt: (any VirtioInterrupt)?
        var memory: GuestMemory?
        var queue: Virtqueue?
        var chain = DescriptorChain()
        /// Whether `chain` was taken and waits for the rate limit.
        var isChainWaiting = false
        var limits: RateLimiter?
        var bytes = [UInt8](repeating: 0, count: 4096)
    }

    private let state: Mutex<State>
    private let source: RandomSource
    /// A turn has ended, and buffers are left.
    private let continuation: EventFD
    /// The rate limit allows the next request.
    private let throttle: TimerFD

    /// - Parameters:
    ///   - source: Where the numbers come from; `nil` for the host's kernel.
    ///   - limits: Limits the rate of requests.
    /// - Throws: `Errno` where the host has no descriptor left, or no `/dev/urandom`.
    package init(source: RandomSource? = nil, limits: RateLimiter? = nil) throws(Errno) {
        state = Mutex(State(limits: limits))
        self.source = if let source { source } else { try Self.hostSource() }
        continuation = try EventFD()
        throttle = try TimerFD()
    }

    /// `/dev/urandom`, opened once: whatever the process may do later, this descriptor stays.
    private static func hostSource() throws(Errno) -> RandomSource {
        let opened = unsafe Glibc.open("/dev/urandom", O_RDONLY | O_CLOEXEC)
        guard opened >= 0 else { throw Errno(rawValue: errno) }
        let file = HostFile(descriptor: OwnedDescriptor(adopting: opened))
        return { bytes in file.read(into: &bytes) }
    }

    package var eventSources: [EventLoop.Source] {
        [
            EventLoop.Source(continuation.descriptor) { [self] in processQueue(0) },
            EventLoop.Source(throttle.descriptor) { [self] in processQueue(0) },
        ]
    }

    package func connect(_ interrupt: any VirtioInterrupt) {
        state.withLock { $0.interrupt = interrupt }
    }

    /// There is no configuration.
    package func readConfiguration(at offset: UInt64, into data: inout MutableRawSpan) {
        data.fill(with: 0)
    }

    package func writeConfiguration(at offset: UInt64, from data: RawSpan) {}
    package func accept(_ features: VirtioFeatures) {}

    package func activate(_ context: ActivationContext) throws(VirtqueueFault) {
        guard let configuration = context.queues.first ?? nil else { return }
        try state.withLock { state throws(VirtqueueFault) in
            state.queue = try Virtqueue(configuration, memory: context.memory, features: context.features)
            state.memory = context.memory
        }
    }

    package func reset() {
        state.withLock { state in
            state.queue = nil
            state.memory = nil
            state.isChainWaiting = false
        }
    }

    package func processQueue(_ index: Int) {
        guard index == 0 else { return }
        state.withLock { state in
            guard let queue = state.queue, let memory = state.memory else { return }
            do throws(VirtqueueFault) {
                try serve(queue, memory, &state)
            } catch {
                // Until the driver resets the device.
                state.queue = nil
                state.interrupt?.notifyNeedsReset(error)
            }
            if queue.takeNotification() { state.interrupt?.notifyUsedBuffers() }
        }
    }

    /// Serves one turn: a driver that never stops must not keep a reset waiting.
    private func serve(_ queue: Virtqueue, _ memory: GuestMemory, _ state: inout State) throws(VirtqueueFault) {
        var turn = Int(queue.configuration.size)
        queue.disableKicks()
        repeat {
            while try takeChain(from: queue, &state) {
                let byteCount = min(state.chain.writableByteCount, Self.requestByteCountMaximum)
                if case .wait(let delay) = state.limits?.take(bytes: UInt64(byteCount), operations: 1, at: .now) {
                    state.isChainWaiting = true
                    return throttle.arm(after: delay)
                }
                state.isChainWaiting = false
                let written = fill(state.chain.writable, of: memory, through: &state.bytes)
                queue.addUsed(head: state.chain.head, byteCount: UInt32(written))
                turn -= 1
                guard turn > 0 else { return continuation.signal() }
            }
        } while try queue.enableKicks()
    }

    /// Takes the next buffer, which may be one that had to wait.
    private func takeChain(from queue: Virtqueue, _ state: inout State) throws(VirtqueueFault) -> Bool {
        if state.isChainWaiting { return true }
        return try queue.pop(into: &state.chain)
    }

    /// Fills the ranges with random bytes, as far as one request may go.
    ///
    /// - Returns: How many bytes were written.
    private func fill(_ ranges: [GuestRange], of memory: GuestMemory, through bytes: inout [UInt8]) -> Int {
        var total = 0
        for range in ranges {
            var position: UInt64 = 0
            while position < UInt64(range.byteCount), total < Self.requestByteCountMaximum {
                let count = min(
                    bytes.count,
                    Int(UInt64(range.byteCount) - position),
                    Self.requestByteCountMaximum - total
                )
                var elements = bytes.mutableSpan
                var all = unsafe elements.mutableBytes
                var span = all._mutatingExtracting(first: count)
                guard
                    source(&span), let address = range.address.advanced(by: position),
                    (try? unsafe memory.write(bytes.span.bytes.extracting(first: count), at: address)) != nil
                else { return total }
                position += UInt64(count)
                total += count
            }
        }
        return total
    }
}

private final class HostFile: Sendable {
    private let descriptor: OwnedDescriptor

    init(descriptor: consuming OwnedDescriptor) {
        self.descriptor = descriptor
    }

    /// Fills all of `bytes`, or says that it cannot.
    func read(into bytes: inout MutableRawSpan) -> Bool {
        unsafe bytes.withUnsafeMutableBytes { buffer in
            var done = 0
            while done < buffer.count {
                let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
                guard let count = try? unsafe descriptor.borrowed.read(into: rest), count > 0 else { return false }
                done += count
            }
            return true
        }
    }
}
