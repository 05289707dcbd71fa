// SPDX-License-Identifier: Apache-2.0

import Devices
import GuestMemory
import TestSupport
import Testing
import Virtio

/// The transport under drivers: one that does as Linux does, and some that do anything.
@Suite struct MMIOTransportDriverTests {
    /// The accesses of Linux 6.1's `virtio_mmio_probe`, `virtio_dev_probe` and `vm_find_vqs`, in their order.
    @Test func `the accesses of Linux start the device without a fault`() throws {
        let fixture = try MMIOTransportFixture()
        #expect(fixture[.magicValue] == 0x7472_6976)
        #expect(fixture[.version] == 2)
        #expect(fixture[.deviceID] == 42)
        _ = fixture[.vendorID]

        fixture.write(0, to: .status)
        fixture.add(.acknowledge)
        fixture.add(.driver)
        fixture.write(1, to: .deviceFeaturesSelect)
        let high = fixture[.deviceFeatures]
        fixture.write(0, to: .deviceFeaturesSelect)
        let offered = VirtioFeatures(rawValue: UInt64(high) << 32 | UInt64(fixture[.deviceFeatures]))
        #expect(offered == fixture.device.features)
        fixture.accept(offered)
        fixture.add(.featuresOK)
        #expect(fixture.status.contains(.featuresOK))
        #expect(fixture[.configurationGeneration] == fixture[.configurationGeneration])

        for index in 0..<2 as Range<UInt32> {
            fixture.write(index, to: .queueSelect)
            #expect(fixture[.queueReady] == 0)
            let size = fixture[.queueSizeMaximum]
            fixture.write(size, to: .queueSize)
            let addresses: [(MMIORegister, MMIORegister)] = [
                (.queueDescriptorLow, .queueDescriptorHigh), (.queueDriverLow, .queueDriverHigh),
                (.queueDeviceLow, .queueDeviceHigh),
            ]
            for (low, high) in addresses {
                fixture.write(0x1000, to: low)
                fixture.write(0, to: high)
            }
            fixture.write(1, to: .queueReady)
        }
        fixture.add(.driverOK)
        fixture.write(0, to: .queueNotify)

        fixture.device.interrupt?.notifyUsedBuffers()
        fixture.write(fixture[.interruptStatus], to: .interruptAcknowledge)
        #expect(fixture[.interruptStatus] == 0)

        // virtio_blk's remove: reset, then vm_del_vq for each queue.
        fixture.write(0, to: .status)
        #expect(fixture.status == [])
        for index in 0..<2 as Range<UInt32> {
            fixture.write(index, to: .queueSelect)
            fixture.write(0, to: .queueReady)
            #expect(fixture[.queueReady] == 0)
        }
        let isActivation = { (call: RecordingVirtioDevice.Call) in
            guard case .activate = call else { return false }
            return true
        }
        #expect(fixture.device.calls.count(where: isActivation) == 1)
        #expect(fixture.device.calls.last == .reset)
        #expect(fixture.faults.count == 0)
        #expect(fixture.device.violations.isEmpty)
    }

    @Test func `random accesses never break the order of calls`() throws {
        let fixture = try MMIOTransportFixture(RecordingVirtioDevice(isKeepingCalls: false))
        var driver = RandomDriver(fixture.transport, seed: 1)
        var activations = 0
        for _ in 0..<100_000 {
            for _ in 0..<4 { driver.step() }
            activations += fixture.status.contains(.driverOK) ? 1 : 0
        }
        #expect(activations > 0, "the driver gets through at times")
        #expect(fixture.device.violations.isEmpty)
    }

    @Test func `random accesses of two vCPUs and a device never break the order of calls`() async throws {
        let fixture = try MMIOTransportFixture(RecordingVirtioDevice(isKeepingCalls: false))
        await withTaskGroup { group in
            for seed in 1...2 as ClosedRange<UInt64> {
                group.addTask {
                    var driver = RandomDriver(fixture.transport, seed: seed)
                    for _ in 0..<200_000 { driver.step() }
                }
            }
            group.addTask {
                for index in 0..<50_000 {
                    switch index % 3 {
                    case 0: fixture.device.interrupt?.notifyUsedBuffers()
                    case 1: fixture.device.interrupt?.notifyConfigurationChange()
                    default: fixture.device.interrupt?.notifyNeedsReset(.badSize(0))
                    }
                }
            }
        }
        #expect(fixture.device.violations.isEmpty)
        fixture.write(0, to: .status)
        fixture.start()
        #expect(fixture.status.contains(.driverOK), "and the device still works")
    }
}

/// A driver that accesses anything, and what brings it on rather often.
private struct RandomDriver {
    private let transport: MMIOTransport
    private var random: SeededGenerator

    init(_ transport: MMIOTransport, seed: UInt64) {
        self.transport = transport
        random = SeededGenerator(seed: seed)
    }

    mutating func step() {
        let offset: UInt64 =
            switch Int.random(in: 0..<16, using: &random) {
            case 0: random.next()
            case 1: UInt64.random(in: 0..<0x120, using: &random)
            default: (MMIORegister.allCases.randomElement(using: &random) ?? .status).rawValue
            }
        switch Int.random(in: 0..<24, using: &random) {
        case 0: _ = transport.read(UInt8.self, at: offset)
        case 1: _ = transport.read(UInt16.self, at: offset)
        case 2: _ = transport.read(UInt64.self, at: offset)
        case 3: transport.write(UInt8(truncatingIfNeeded: random.next()), at: offset)
        case 4: transport.write(UInt16(truncatingIfNeeded: random.next()), at: offset)
        case 5: transport.write(random.next(), at: offset)
        case 6, 7, 8: _ = transport.read(UInt32.self, at: offset)
        case 9, 10: advance()
        case 11: negotiate()
        default: transport.write(value(), at: offset)
        }
    }

    private mutating func value() -> UInt32 {
        switch Int.random(in: 0..<4, using: &random) {
        case 0: UInt32(truncatingIfNeeded: random.next())
        case 1: 1 << UInt32.random(in: 0..<32, using: &random)
        default: UInt32.random(in: 0..<4, using: &random)
        }
    }

    /// The next bit of the status.
    private mutating func advance() {
        let status = DeviceStatus(rawValue: transport.read(UInt32.self, at: MMIORegister.status.rawValue))
        guard status.isDisjoint(with: [.failed, .deviceNeedsReset]) else {
            return transport.write(0 as UInt32, at: MMIORegister.status.rawValue)
        }
        let next = DeviceStatus.steps.first { !status.contains($0) } ?? []
        transport.write(status.union(next).rawValue, at: MMIORegister.status.rawValue)
    }

    private mutating func negotiate() {
        transport.write(0 as UInt32, at: MMIORegister.driverFeaturesSelect.rawValue)
        transport.write(0 as UInt32, at: MMIORegister.driverFeatures.rawValue)
        transport.write(1 as UInt32, at: MMIORegister.driverFeaturesSelect.rawValue)
        transport.write(1 as UInt32, at: MMIORegister.driverFeatures.rawValue)
    }
}
