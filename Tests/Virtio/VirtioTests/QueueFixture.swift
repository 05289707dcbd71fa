// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import TestSupport
import Virtio

/// A virtqueue with its driver, and no device between them.
struct QueueFixture {
    let memory: GuestMemory
    let allocator: FakeAllocator
    let driver: FakeQueue
    let queue: Virtqueue
    let features: VirtioFeatures

    init(
        size: UInt16 = 8,
        features: VirtioFeatures = [.version1, .ringIndirectDescriptors, .ringEventIndex],
        regions: [(start: GuestAddress, byteCount: UInt64)] = [(0, 1 << 20)]
    ) throws {
        memory = try GuestMemory(
            regions: regions.map { try GuestMemoryRegion(start: $0.start, byteCount: $0.byteCount) }
        )
        allocator = FakeAllocator(memory)
        self.features = features
        driver = try FakeQueue(size: size, features: features, allocator: allocator)
        queue = try Virtqueue(driver.configuration, memory: memory, features: features)
    }

    func range(_ byteCount: UInt32) throws -> GuestRange {
        GuestRange(address: try allocator.allocate(Int(byteCount)), byteCount: byteCount)
    }

    /// The next buffer, or nothing.
    func pop() throws(VirtqueueFault) -> DescriptorChain? {
        var chain = DescriptorChain()
        return try queue.pop(into: &chain) ? chain : nil
    }

    /// The fault of the next pop.
    func fault() -> VirtqueueFault? {
        do throws(VirtqueueFault) {
            _ = try pop()
            return nil
        } catch {
            return error
        }
    }
}
