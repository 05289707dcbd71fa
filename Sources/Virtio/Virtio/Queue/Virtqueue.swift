// SPDX-License-Identifier: Apache-2.0

package import GuestMemory
import Synchronization

/// The device's side of one split virtqueue (virtio 1.2, 2.7).
///
/// Not for two threads at once: it belongs to the state that a device locks. The driver writes to the rings at any time, so
/// each value is read once and then checked. After a fault guest memory is left alone, and every `pop` throws it again.
package final class Virtqueue {
    package let configuration: VirtqueueConfiguration
    // Private, so that the compiler sees every access to them and need not check for others at run time.
    private var counters: VirtqueueState
    private var inFlight = 0

    private let memory: GuestMemory
    private let rings: VirtqueueRings
    private let hasIndirectDescriptors: Bool
    private let hasEventIndex: Bool
    private var fault: VirtqueueFault?

    /// - Parameters:
    ///   - configuration: The values that the driver wrote to the registers.
    ///   - memory: The guest's memory.
    ///   - features: What both sides agreed upon.
    ///   - state: Where to go on; a new queue begins at 0.
    /// - Throws: `badSize` and `badRing`.
    package init(
        _ configuration: VirtqueueConfiguration,
        memory: GuestMemory,
        features: VirtioFeatures,
        state: VirtqueueState = VirtqueueState()
    ) throws(VirtqueueFault) {
        self.configuration = configuration
        self.memory = memory
        counters = state
        rings = try VirtqueueRings(configuration, memory: memory)
        hasIndirectDescriptors = features.contains(.ringIndirectDescriptors)
        hasEventIndex = features.contains(.ringEventIndex)
    }

    /// The state for a snapshot, taken when nothing is in flight.
    package var state: VirtqueueState { counters }

    /// The number of buffers that were taken and not yet returned.
    package var inFlightCount: Int { inFlight }

    // MARK: - Taking buffers

    /// Takes the next buffer that the driver made available.
    ///
    /// - Returns: `false` when there is none; then `chain` is as it was.
    /// - Throws: The fault of the queue or the buffer.
    package func pop(into chain: inout DescriptorChain) throws(VirtqueueFault) -> Bool {
        if let fault { throw fault }
        do throws(VirtqueueFault) {
            guard try availableCount() > 0 else { return false }
            guard inFlight < rings.size else { throw .tooManyBuffers }
            try walk(from: rings.head(at: counters.nextAvailable), into: &chain)
        } catch {
            fault = error
            throw error
        }
        counters.nextAvailable &+= 1
        inFlight += 1
        return true
    }

    /// The number of waiting buffers; acquires the driver's writes before it.
    private func availableCount() throws(VirtqueueFault) -> UInt16 {
        let index = rings.availableIndex
        let count = index &- counters.nextAvailable
        guard Int(count) <= rings.size else { throw .badAvailableIndex(index, next: counters.nextAvailable) }
        return count
    }

    private func walk(from head: UInt16, into chain: inout DescriptorChain) throws(VirtqueueFault) {
        chain.begin(head: head)
        // A longer chain has a loop, or breaks 2.7.5.3.1; entries of an indirect table count like others.
        var left = rings.size
        guard let range = try walk(rings.descriptors, from: head, &left, into: &chain) else { return }
        // The descriptor that points to the table is not part of the buffer.
        left += 1
        guard let range = try walk(try indirectTable(range), from: 0, &left, into: &chain) else { return }
        throw .badIndirectTable(range)
    }

    /// Follows the descriptors of one table, which is borrowed: to take another one in its place counts references.
    ///
    /// - Returns: The table of the indirect descriptor that ends them; `nil` where they end without one.
    private func walk(
        _ table: borrowing GuestMemoryView,
        from head: UInt16,
        _ left: inout Int,
        into chain: inout DescriptorChain
    ) throws(VirtqueueFault) -> GuestRange? {
        var index = head
        while true {
            guard left > 0 else { throw .endlessChain }
            left -= 1
            guard Int(index) < table.byteCount / Descriptor.byteCount else { throw .badDescriptorIndex(index) }
            let descriptor = Descriptor(table, index: Int(index))
            if descriptor.flags.contains(.indirect) {
                guard !descriptor.flags.contains(.next) else { throw .badIndirectTable(descriptor.range) }
                return descriptor.range
            }
            try chain.append(descriptor, in: memory)
            guard descriptor.flags.contains(.next) else { return nil }
            index = descriptor.next
        }
    }

    private func indirectTable(_ range: GuestRange) throws(VirtqueueFault) -> GuestMemoryView {
        guard
            hasIndirectDescriptors, range.byteCount > 0, Int(range.byteCount) % Descriptor.byteCount == 0,
            let table = GuestMemoryView(memory, at: range.address, byteCount: Int(range.byteCount))
        else { throw .badIndirectTable(range) }
        return table
    }

    // MARK: - Returning buffers

    /// Returns a buffer to the driver.
    ///
    /// - Parameters:
    ///   - head: Of a chain that `pop` gave.
    ///   - byteCount: The number of bytes written from the start of its writable part.
    package func addUsed(head: UInt16, byteCount: UInt32) {
        stageUsed(head: head, byteCount: byteCount)
        publishUsed()
    }

    /// Writes the used element of a buffer, which the driver sees after `publishUsed`.
    ///
    /// - Parameters:
    ///   - head: Of a chain that `pop` gave.
    ///   - byteCount: The number of bytes written from the start of its writable part.
    package func stageUsed(head: UInt16, byteCount: UInt32) {
        inFlight -= 1
        guard fault == nil else { return }
        rings.setUsedElement(at: counters.nextUsed, head: head, byteCount: byteCount)
        counters.nextUsed &+= 1
    }

    /// Shows the driver all staged buffers at once.
    package func publishUsed() {
        guard fault == nil else { return }
        rings.setUsedIndex(counters.nextUsed)
    }

    /// Gives the newest buffers back as if they had not been taken.
    ///
    /// - Parameter count: Their number; none that was taken after the oldest of them was returned otherwise.
    package func unpop(_ count: Int) {
        inFlight -= count
        counters.nextAvailable &-= UInt16(truncatingIfNeeded: count)
    }

    /// Indicates whether the driver still has most of its descriptors, beside those of buffers returned since `takeNotification`.
    var hasFewUnannounced: Bool { Int(counters.nextUsed &- counters.lastNotified) < rings.size / 4 }

    /// Returns whether the driver wants an interrupt for the buffers returned since the last call (2.7.7.2).
    package func takeNotification() -> Bool {
        let (old, new) = (counters.lastNotified, counters.nextUsed)
        guard old != new, fault == nil else { return false }
        counters.lastNotified = new
        // The used index must be visible before the driver's wish is read: it does these two the other way round.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        guard hasEventIndex else { return rings.availableFlags & 1 == 0 }
        // Whether the wanted index was passed between the two, modulo 2^16.
        return new &- rings.usedEvent &- 1 < new &- old
    }

    // MARK: - Kicks

    /// Asks the driver for no kicks for the time being; it may send some all the same.
    package func disableKicks() {
        guard fault == nil else { return }
        // With the event index, the old index is enough (2.7.10).
        if !hasEventIndex { rings.setUsedFlags(1) }
    }

    /// Asks the driver for kicks again.
    ///
    /// - Returns: Whether buffers are there already, which no kick will tell.
    package func enableKicks() throws(VirtqueueFault) -> Bool {
        if let fault { throw fault }
        if hasEventIndex {
            rings.setAvailableEvent(counters.nextAvailable)
        } else {
            rings.setUsedFlags(0)
        }
        // The wish must be visible before the index is read again: the driver does these two the other way round.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        do throws(VirtqueueFault) {
            return try availableCount() > 0
        } catch {
            fault = error
            throw error
        }
    }
}
