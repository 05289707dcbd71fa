// SPDX-License-Identifier: Apache-2.0

import Devices
import GuestMemory
import Logging
import Storage
import TestSupport
import Virtio

/// The input is what a driver does to a block device, and the guest memory with its virtqueue and requests.
///
/// A byte for the features, eight steps of a byte each, then memory from 0 on: the descriptor table of 16 entries at 0, the
/// available ring at 0x100, the used ring at 0x200, anything behind.
enum BlockFuzzTarget {
    private static let diskByteCount = 64 << 10

    static func run(_ input: inout FuzzInput) {
        let faults = GuestFaultLog(device: "disk", logger: Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() })
        var properties = DiskProperties(byteCount: UInt64(diskByteCount))
        let choice = input.byte()
        properties.isReadOnly = choice & 1 != 0
        properties.canDiscard = choice & 2 != 0
        guard
            let memory = try? GuestMemory(regions: [GuestMemoryRegion(start: 0, byteCount: 64 << 10)]),
            let disk = try? MemoryDisk(byteCount: diskByteCount),
            let device = try? BlockDevice(
                disk: properties,
                engine: disk.makeEngine(capacity: 4),
                hostFaults: faults
            )
        else { fatalError("the host has no memory") }
        device.connect(RecordingVirtioInterrupt())
        let features = choice & 4 != 0 ? device.features : .version1
        let queue = VirtqueueConfiguration(size: 16, descriptorTable: 0, availableRing: 0x100, usedRing: 0x200)
        let context = ActivationContext(memory: memory, features: features, queues: [queue])
        let steps = (0..<8).map { _ in input.byte() }
        try? memory.write(Array(input.rest.prefix(64 << 10)), at: 0)
        device.accept(features)
        try? device.activate(context)
        for step in steps { act(step, device, disk, context) }
        device.reset()
        // What the log has is what was done to the disk: nothing of it may be beyond the end.
        precondition(disk.bytes.count == diskByteCount)
        if properties.isReadOnly { precondition(disk.bytes.allSatisfy { $0 == 0 }) }
    }

    private static func act(_ step: UInt8, _ device: BlockDevice, _ disk: MemoryDisk, _ context: ActivationContext) {
        switch step & 7 {
        case 0, 1, 2: device.processQueue(Int(step >> 3 & 1))
        case 3: disk.hold()
        case 4:
            disk.release()
            device.server.resume()
        case 5: device.resize(toByteCount: UInt64(step >> 3) << 11)
        case 6: unsafe device.writeConfiguration(at: 32, from: [step >> 3].span.bytes)
        default:
            device.reset()
            device.accept(context.features)
            try? device.activate(context)
        }
    }
}
