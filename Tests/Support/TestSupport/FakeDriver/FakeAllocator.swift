// SPDX-License-Identifier: Apache-2.0

package import GuestMemory

/// Hands out guest memory from the bottom up, and takes nothing back before `reset`.
package final class FakeAllocator {
    package let memory: GuestMemory
    private var next: GuestAddress

    package init(_ memory: GuestMemory) {
        self.memory = memory
        next = memory.regions.first?.start ?? 0
    }

    package func reset() {
        next = memory.regions.first?.start ?? 0
    }

    /// Zeroed bytes, all in one region.
    package func allocate(_ byteCount: Int, alignment: UInt64 = 1) throws -> GuestAddress {
        for region in memory.regions where region.last >= next {
            let first = max(next, region.start).rawValue
            let start = GuestAddress(rawValue: (first + alignment - 1) / alignment * alignment)
            guard region.contiguousByteCount(from: start) >= UInt64(byteCount) else { continue }
            try memory.fill(0, byteCount: UInt64(byteCount), at: start)
            next = GuestAddress(rawValue: start.rawValue + UInt64(byteCount))
            return start
        }
        throw FakeDriverError("no \(byteCount) bytes of guest memory left")
    }
}

/// The error of a test that asks the fake driver for something it cannot do.
package struct FakeDriverError: Error, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}
