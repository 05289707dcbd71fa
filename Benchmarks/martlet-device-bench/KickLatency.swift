// SPDX-License-Identifier: Apache-2.0

import Devices
import Glibc
import GuestMemory
import Host
import SystemPackage
import TestSupport
import Virtio

/// From a kick to the interrupt: a flush of a disk in memory, by way of the device's own thread; and beside it the same two
/// changes of thread with nothing between them.
enum KickLatency {
    /// Medians in seconds.
    static func measure(count: Int) throws -> (device: Double, event: Double) {
        let disk = try MemoryDisk(byteCount: 1 << 20)
        disk.stopLog()
        let device = try BlockDevice(
            disk: DiskProperties(byteCount: 1 << 20),
            engine: disk.makeEngine(),
            hostFaults: GuestFaultLog(device: "disk")
        )
        let driver = try FakeDriver(device)
        let interrupt = try EventFD()
        device.connect(EventInterrupt(event: interrupt))
        let header = try driver.allocator.allocate(16)
        try driver.memory.store(UInt32(4), at: header)
        let chain = try driver.queues[0].prepare(
            readable: [.init(address: header, byteCount: 16)],
            writable: [.init(address: try driver.allocator.allocate(1), byteCount: 1)]
        )
        let queue = driver.queues[0]

        let kick = try EventFD()
        let source = EventLoop.Source(kick.descriptor) { device.processQueue(0) }
        let deviceLoop = try EventLoop("device", sources: [source] + device.eventSources)
        let (ping, pong) = (try EventFD(), try EventFD())
        let echoLoop = try EventLoop(
            "echo",
            sources: [EventLoop.Source(ping.descriptor) { pong.signal() }]
        )
        try deviceLoop.start()
        try echoLoop.start()
        defer {
            deviceLoop.stop()
            echoLoop.stop()
        }
        // One after the other, so that what slows the host down slows both.
        var samples: [(device: Double, event: Double)] = []
        for _ in 0..<count {
            let device = time {
                queue.setInterrupts(areWanted: true)
                queue.submit(chain)
                kick.signal()
                wait(for: interrupt)
                _ = queue.takeUsed()
            }
            let event = time {
                ping.signal()
                wait(for: pong)
            }
            samples.append((device, event))
        }
        return (median(samples.map(\.device)), median(samples.map(\.event)))
    }

    private struct EventInterrupt: VirtioInterrupt {
        let event: EventFD
        func notifyUsedBuffers() { event.signal() }
        func notifyConfigurationChange() {}
        func notifyNeedsReset(_ reason: VirtqueueFault) { fatalError("\(reason)") }
    }

    private static func wait(for event: EventFD) {
        var set = pollfd(fd: event.descriptor.rawValue, events: Int16(POLLIN), revents: 0)
        unsafe poll(&set, 1, -1)
        event.take()
    }

    private static func time(_ body: () -> Void) -> Double {
        let start = ContinuousClock.now
        body()
        return (ContinuousClock.now - start) / .seconds(1)
    }

    private static func median(_ values: [Double]) -> Double {
        values.sorted()[values.count / 2]
    }
}
