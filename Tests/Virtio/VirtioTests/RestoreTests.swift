// SPDX-License-Identifier: Apache-2.0

import Devices
import Glibc
import GuestMemory
import Host
import MachineModel
import Storage
import SystemPackage
import Testing
import TestSupport
import Virtio

/// A block device behind its transport that continues from the state of another one, with the same memory.
@Suite struct RestoreTests {
    private let memory: GuestMemory
    private let allocator: FakeAllocator
    private let disk: MemoryDisk
    private let driver: FakeQueue
    private let machine: Machine

    /// A device in its place.
    private struct Machine {
        let device: BlockDevice
        let transport: MMIOTransport
        let line = RecordingInterruptLine()

        init(_ disk: MemoryDisk, _ memory: GuestMemory, limits: RateLimiter? = nil) throws {
            device = try BlockDevice(
                disk: DiskProperties(byteCount: UInt64(disk.bytes.count)),
                engine: disk.makeEngine(),
                limits: limits,
                hostFaults: GuestFaultLog(device: "disk")
            )
            transport = MMIOTransport(
                device: device,
                memory: memory,
                interrupt: line,
                faults: GuestFaultLog(device: "disk")
            )
        }

        var state: (MMIOTransportState, VirtioDeviceState) {
            device.drain(.everything)
            return (transport.state, device.savedState)
        }

        /// Calls the handlers of all events that have happened, as the device's thread would.
        func handleEvents() {
            for source in device.eventSources {
                var set = pollfd(fd: source.descriptor.rawValue, events: Int16(POLLIN), revents: 0)
                if unsafe poll(&set, 1, 0) == 1 { source.handle() }
            }
        }
    }

    init() throws {
        memory = try GuestMemory(regions: [GuestMemoryRegion(start: 0, byteCount: 4 << 20)])
        allocator = FakeAllocator(memory)
        disk = try MemoryDisk(byteCount: 64 << 10)
        // As many operations as there are, and no more for an hour.
        let limit = RateLimiter(RateLimit(bytes: nil, operations: .init(capacity: 2, refillMilliseconds: 7_200_000)))
        machine = try Machine(disk, memory, limits: limit)
        driver = try FakeQueue(size: 64, features: machine.device.features, allocator: allocator)
        let transport = machine.transport
        func write(_ value: UInt64, to register: MMIORegister) {
            transport.write(UInt32(truncatingIfNeeded: value), at: register.rawValue)
        }
        write(1, to: .status)
        write(3, to: .status)
        for half in 0..<2 as Range<UInt64> {
            write(half, to: .driverFeaturesSelect)
            write(machine.device.features.rawValue >> (32 * half), to: .driverFeatures)
        }
        write(11, to: .status)
        write(64, to: .queueSize)
        write(driver.configuration.descriptorTable.rawValue, to: .queueDescriptorLow)
        write(driver.configuration.availableRing.rawValue, to: .queueDriverLow)
        write(driver.configuration.usedRing.rawValue, to: .queueDeviceLow)
        write(1, to: .queueReady)
        write(15, to: .status)
    }

    /// Makes a flush available; does not kick.
    private func submitFlush() throws {
        let header = GuestRange(address: try allocator.allocate(16), byteCount: 16)
        try memory.write(BlockFixture.header(.flush), at: header.address)
        let status = GuestRange(address: try allocator.allocate(1), byteCount: 1)
        driver.submit(try driver.prepare(readable: [header], writable: [status]))
    }

    @Test func `requests that waited for the limit, and one that no kick told of, are done after a restore`() throws {
        for _ in 0..<4 {
            try submitFlush()
            machine.device.processQueue(0)
        }
        try submitFlush()
        #expect(driver.rings.usedIndex == 2)
        let (transport, device) = machine.state
        var position = VirtqueueState()
        (position.nextAvailable, position.nextUsed, position.lastNotified) = (2, 2, 2)
        #expect(device.queues.queues == [position])
        let other = try Machine(disk, memory)
        other.transport.restore(transport, device: device)
        #expect(other.state == (transport, device))
        #expect(driver.rings.usedIndex == 2, "the device's thread does not run yet")
        other.handleEvents()
        #expect(driver.rings.usedIndex == 5)
    }

    @Test func `an interrupt whose cause is pending is raised again, and no other`() throws {
        let (before, device) = machine.state
        let quiet = try Machine(disk, memory)
        quiet.transport.restore(before, device: device)
        quiet.transport.raisePendingInterrupt()
        #expect(quiet.line.takeEdges() == 0)
        try submitFlush()
        machine.device.processQueue(0)
        let (transport, _) = machine.state
        #expect(transport.interruptStatus == 1)
        let other = try Machine(disk, memory)
        other.transport.restore(transport, device: machine.device.savedState)
        other.transport.raisePendingInterrupt()
        #expect(other.line.takeEdges() == 1)
        #expect(other.transport.state.interruptStatus == 1)
    }

    @Test func `the writeback mode is kept, and a disk of another size is told of`() throws {
        unsafe machine.device.writeConfiguration(at: 32, from: [UInt8(0)].span.bytes)
        let (transport, device) = machine.state
        #expect(device.block?.isWriteback == false)
        let larger = try MemoryDisk(byteCount: 128 << 10)
        let other = try Machine(larger, memory)
        other.transport.restore(transport, device: device)
        #expect(other.device.savedState.block?.isWriteback == false)
        #expect(other.device.savedState.block?.capacity == 256)
        #expect(other.transport.state.interruptStatus & 2 != 0)
        #expect(other.transport.state.configurationGeneration == transport.configurationGeneration + 1)
    }

    @Test func `a failed flush that was not told of is told after a restore`() throws {
        var (transport, device) = machine.state
        device.block?.untoldFlushFailure = Errno.noSpace.rawValue
        let other = try Machine(disk, memory)
        other.transport.restore(transport, device: device)
        try submitFlush()
        other.handleEvents()
        #expect(other.device.statistics.failures == 1)
        transport.status = []
        #expect(other.device.savedState.block?.untoldFlushFailure == 0)
    }

    // MARK: - States that cannot be

    @Test func `queues outside RAM leave a device that needs a reset`() throws {
        var (transport, device) = machine.state
        transport.queues[0].usedRing(at: 1 << 40)
        let other = try Machine(disk, memory)
        other.transport.restore(transport, device: device)
        #expect(other.transport.state.status.contains(.deviceNeedsReset))
        other.device.processQueue(0)
        device.queues = QueueServerState()
        other.transport.restore(transport, device: device)
        #expect(other.transport.state.status.contains(.deviceNeedsReset))
    }

    @Test func `features that are not offered are dropped, and so are steps before others`() throws {
        var (transport, device) = machine.state
        transport.driverFeatures = VirtioFeatures(rawValue: .max)
        let other = try Machine(disk, memory)
        other.transport.restore(transport, device: device)
        #expect(other.transport.state.driverFeatures == other.device.features)
        transport.status = [.acknowledge, .driverOK, .featuresOK]
        device.queues.queues = []
        other.transport.restore(transport, device: device)
        #expect(other.transport.state.status == .acknowledge)
        try submitFlush()
        other.device.processQueue(0)
        #expect(driver.rings.usedIndex == 0)
    }
}

extension MMIOTransportState.Queue {
    fileprivate mutating func usedRing(at address: UInt64) { deviceArea = address }
}
