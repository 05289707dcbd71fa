// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
package import Storage
package import SystemPackage

/// A virtio entropy device (virtio 1.2, section 5.4): gives the driver random numbers of the host's kernel.
package final class EntropyDevice: QueuedDevice {
    /// The most that one request gets; the driver asks again for more.
    package static let requestByteCountMaximum = 1 << 16

    package let deviceID: UInt32 = 4
    package let features: VirtioFeatures = [.version1, .ringIndirectDescriptors, .ringEventIndex]
    package let queueMaximumSizes: [UInt16] = [256]
    private let queues: QueueServer<EntropyHandler>
    package var server: any QueueServing { queues }

    /// Fills all of the buffer, or says that it cannot.
    package typealias RandomSource = @Sendable (inout MutableRawSpan) -> Bool

    /// - Parameters:
    ///   - source: The source of the numbers; `nil` for the host's kernel.
    ///   - limits: The limits on the rate of requests.
    /// - Throws: `Errno` where the host has no descriptor left, or no `/dev/urandom`.
    package init(source: RandomSource? = nil, limits: RateLimiter? = nil) throws(Errno) {
        let source = if let source { source } else { try HostRandomFile().source }
        queues = try QueueServer(EntropyHandler(source: source), queueCount: 1, limiters: [limits])
    }
}

/// Fills each buffer with random bytes, as far as one request may go.
private struct EntropyHandler: QueueHandler {
    let source: EntropyDevice.RandomSource
    var bytes = [UInt8](repeating: 0, count: 4096)

    mutating func handle(_ slot: Int, _ queues: inout ServedQueues) throws(VirtqueueFault) -> ChainOutcome {
        let byteCount = min(queues.chains[slot].writableByteCount, EntropyDevice.requestByteCountMaximum)
        if let delay = queues.admit(slot, byteCount: byteCount) { return .wait(delay) }
        var done = 0
        while done < byteCount {
            let count = min(bytes.count, byteCount - done)
            guard fill(count) else { break }
            queues.memory?.write(bytes[..<count], to: queues.chains[slot].writable, at: done)
            done += count
        }
        return .done(written: done)
    }

    private mutating func fill(_ count: Int) -> Bool {
        let source = source
        var elements = bytes.mutableSpan
        var all = unsafe elements.mutableBytes
        var span = all._mutatingExtracting(first: count)
        return source(&span)
    }
}

/// `/dev/urandom`, opened once: whatever the process may do later, this descriptor stays.
private final class HostRandomFile: Sendable {
    private let descriptor: OwnedDescriptor

    init() throws(Errno) {
        descriptor = try OwnedDescriptor(opening: "/dev/urandom", O_RDONLY)
    }

    var source: EntropyDevice.RandomSource {
        { [self] bytes in read(into: &bytes) }
    }

    /// Fills all of `bytes`, or says that it cannot.
    private func read(into bytes: inout MutableRawSpan) -> Bool {
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
