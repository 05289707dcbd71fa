// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Virtio

/// The input is a virtqueue's configuration, what its device does, and the guest memory that all of it lies in.
///
/// Two bytes say how often the driver moves its index on; then come features, size and the places of the rings, and the
/// rest is memory from 0 on: 32 KiB, a hole, and a page at 64 KiB.
enum QueueFuzzTarget {
    static func run(_ input: inout FuzzInput) {
        guard
            let low = try? GuestMemoryRegion(start: 0, byteCount: 32 << 10),
            let high = try? GuestMemoryRegion(start: 0x1_0000, byteCount: 4096),
            let memory = try? GuestMemory(regions: [low, high])
        else { fatalError("the host has no memory") }
        let steps = input.byte()
        var features: VirtioFeatures = .version1
        let choice = input.byte()
        if choice & 1 != 0 { features.insert(.ringIndirectDescriptors) }
        if choice & 2 != 0 { features.insert(.ringEventIndex) }
        let size = choice & 4 != 0 ? input.integer(UInt16.self) : 16
        func address() -> GuestAddress { GuestAddress(rawValue: UInt64(input.integer(UInt16.self)) << 4) }
        let configuration = VirtqueueConfiguration(
            size: size,
            descriptorTable: address(),
            availableRing: address(),
            usedRing: address()
        )
        try? memory.write(Array(input.rest.prefix(32 << 10)), at: 0)
        guard let queue = try? Virtqueue(configuration, memory: memory, features: features) else { return }
        drive(queue, memory, stepCount: Int(steps))
    }

    private static func drive(_ queue: Virtqueue, _ memory: GuestMemory, stepCount: Int) {
        let availableIndex = GuestAddress(rawValue: queue.configuration.availableRing.rawValue + 2)
        var chain = DescriptorChain()
        for step in 0..<stepCount {
            queue.disableKicks()
            var taken: [UInt16] = []
            while (try? queue.pop(into: &chain)) == true {
                for range in chain.readable + chain.writable {
                    precondition(range.byteCount > 0)
                    precondition(memory.contains(range.address, byteCount: UInt64(range.byteCount)))
                }
                let sizes = [chain.readable, chain.writable].map { $0.reduce(0) { $0 + Int($1.byteCount) } }
                precondition(sizes == [chain.readableByteCount, chain.writableByteCount])
                precondition(chain.readable.count + chain.writable.count <= Int(queue.configuration.size))
                taken.append(chain.head)
                precondition(taken.count <= Int(queue.configuration.size))
            }
            for head in taken { queue.addUsed(head: head, byteCount: UInt32(step)) }
            precondition(queue.inFlightCount == 0)
            _ = queue.takeNotification()
            _ = try? queue.enableKicks()
            let next = queue.state.nextAvailable &+ UInt16(step & 3)
            try? memory.store(next, at: availableIndex)
        }
    }
}
