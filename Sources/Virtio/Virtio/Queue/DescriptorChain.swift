// SPDX-License-Identifier: Apache-2.0

package import GuestMemory

/// One buffer that the driver made available: a readable part, then a writable one (virtio 1.2, 2.7.4).
///
/// Made once and filled again and again by `Virtqueue.pop(into:)`, so that no request allocates.
package struct DescriptorChain: Sendable {
    /// The index of the first descriptor, by which the buffer is returned.
    package private(set) var head: UInt16 = 0
    /// The ranges that the device may read: never empty, all of them guest memory.
    package private(set) var readable: [GuestRange] = []
    /// The ranges that the device may write: never empty, all of them guest memory.
    package private(set) var writable: [GuestRange] = []
    /// The sum of the readable ranges, below 4 GiB together with `writableByteCount`.
    package private(set) var readableByteCount = 0
    /// The sum of the writable ranges.
    package private(set) var writableByteCount = 0

    package init() {}

    /// Begins a new buffer in place of the last one.
    mutating func begin(head: UInt16) {
        self.head = head
        // Most buffers have one kind only, and to empty an empty array costs as much as to empty another.
        if !readable.isEmpty { readable.removeAll(keepingCapacity: true) }
        if !writable.isEmpty { writable.removeAll(keepingCapacity: true) }
        (readableByteCount, writableByteCount) = (0, 0)
    }

    /// Adds what `descriptor`, not an indirect one, points to; nothing when it has no bytes, wherever they are.
    mutating func append(_ descriptor: Descriptor, in memory: GuestMemory) throws(VirtqueueFault) {
        let range = descriptor.range
        let isWritable = descriptor.flags.contains(.write)
        guard isWritable || writable.isEmpty else { throw .readableAfterWritable }
        guard range.byteCount > 0 else { return }
        guard readableByteCount + writableByteCount + Int(range.byteCount) <= Int(UInt32.max) else {
            throw .chainTooLarge
        }
        guard memory.contains(range.address, byteCount: UInt64(range.byteCount)) else { throw .badAddress(range) }
        if isWritable {
            writable.append(range)
            writableByteCount += Int(range.byteCount)
        } else {
            readable.append(range)
            readableByteCount += Int(range.byteCount)
        }
    }
}
