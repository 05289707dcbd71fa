// SPDX-License-Identifier: Apache-2.0

import Devices
import GuestMemory
import Synchronization
import TestSupport
import Testing
import Virtio

@Suite struct MMIOTransportStatusTests {
    @Test(arguments: [.driver, .featuresOK, .driverOK, [.acknowledge, .featuresOK]] as [DeviceStatus])
    func `a step that skips one is ignored`(status: DeviceStatus) throws {
        let fixture = try MMIOTransportFixture()
        fixture.accept(MMIOTransportFixture.features)
        fixture.add(status)
        #expect(fixture.status == status.intersection(.acknowledge))
        #expect(fixture.faults.count == 1)
        #expect(fixture.device.calls.isEmpty)
    }

    @Test func `a bit is cleared by a reset only`() throws {
        let fixture = try MMIOTransportFixture()
        fixture.add(.acknowledge)
        fixture.add(.driver)
        fixture.write(DeviceStatus.driver.rawValue, to: .status)
        #expect(fixture.status == [.acknowledge, .driver])
        #expect(fixture.faults.count == 1)
    }

    @Test func `reserved bits and the device's own are ignored`() throws {
        let fixture = try MMIOTransportFixture()
        fixture.write(0xffff_ff71, to: .status)
        #expect(fixture.status == .acknowledge)
    }

    // MARK: - Features

    @Test func `features that were offered are accepted once`() throws {
        let fixture = try MMIOTransportFixture()
        fixture.negotiate()
        #expect(fixture.status == [.acknowledge, .driver, .featuresOK])
        fixture.add(.featuresOK)
        #expect(fixture.device.calls == [.accept(MMIOTransportFixture.features)])
    }

    @Test(
        arguments: [
            .ringEventIndex, [], [.version1, .ringIndirectDescriptors],
            [.version1, VirtioFeatures(rawValue: 1 << 63 | 2)],
        ] as [VirtioFeatures]
    )
    func `features without version 1 or beyond the offer leave FEATURES_OK clear`(features: VirtioFeatures) throws {
        let fixture = try MMIOTransportFixture()
        fixture.negotiate(features)
        #expect(fixture.status == [.acknowledge, .driver])
        #expect(fixture.device.calls.isEmpty)
        fixture.accept(.version1)
        fixture.add(.featuresOK)
        #expect(fixture.device.calls == [.accept(.version1)], "the driver may try again")
    }

    @Test func `features that the device refuses leave FEATURES_OK clear, and the driver may try again`() throws {
        let fixture = try MMIOTransportFixture()
        fixture.device.refuseFeatures(with: FeatureRefusal("one needs another"))
        fixture.negotiate()
        #expect(fixture.status == [.acknowledge, .driver])
        #expect(fixture.faults.count == 1)
        fixture.device.refuseFeatures(with: nil)
        fixture.add(.featuresOK)
        #expect(fixture.status == [.acknowledge, .driver, .featuresOK])
    }

    @Test func `features do not change after FEATURES_OK`() throws {
        let fixture = try MMIOTransportFixture()
        fixture.negotiate()
        fixture.accept(.version1)
        #expect(fixture.transport.state.driverFeatures == MMIOTransportFixture.features)
        #expect(fixture.faults.count == 2)
    }

    @Test func `a feature from 64 on is a fault`() throws {
        let fixture = try MMIOTransportFixture()
        fixture.write(2, to: .driverFeaturesSelect)
        fixture.write(0, to: .driverFeatures)
        #expect(fixture.faults.count == 0)
        fixture.write(1, to: .driverFeatures)
        #expect(fixture.faults.count == 1)
        #expect(fixture.transport.state.driverFeatures == [])
    }

    // MARK: - Running

    @Test func `DRIVER_OK activates the device with the ready queues`() throws {
        let fixture = try MMIOTransportFixture()
        fixture.negotiate()
        fixture.write(1, to: .queueSelect)
        fixture.write(32, to: .queueSize)
        let halves: [(MMIORegister, UInt32)] = [
            (.queueDescriptorLow, 0x1000), (.queueDescriptorHigh, 1), (.queueDriverLow, 0x2000), (.queueDriverHigh, 2),
            (.queueDeviceLow, 0x3000), (.queueDeviceHigh, 3),
        ]
        for (register, value) in halves { fixture.write(value, to: register) }
        fixture.write(1, to: .queueReady)
        _ = fixture.device.takeCalls()
        #expect(!fixture.transport.wasActivated)
        fixture.add(.driverOK)
        let queue = VirtqueueConfiguration(
            size: 32,
            descriptorTable: 0x1_0000_1000,
            availableRing: 0x2_0000_2000,
            usedRing: 0x3_0000_3000
        )
        #expect(
            fixture.device.calls
                == [.activate(features: MMIOTransportFixture.features, queues: [nil, queue]), .process(1)],
            "a ready queue may hold buffers already"
        )
        #expect(fixture.status == [.acknowledge, .driver, .featuresOK, .driverOK])
        #expect(fixture.transport.wasActivated)
        #expect(fixture.faults.count == 0)
    }

    @Test func `a second DRIVER_OK does nothing`() throws {
        let fixture = try MMIOTransportFixture()
        fixture.start()
        fixture.add(.driverOK)
        #expect(fixture.device.calls.isEmpty)
        #expect(fixture.faults.count == 0)
    }

    @Test func `all steps may come in one write`() throws {
        let fixture = try MMIOTransportFixture()
        fixture.accept(.version1)
        fixture.add([.acknowledge, .driver, .featuresOK, .driverOK])
        #expect(fixture.device.calls == [.accept(.version1), .activate(features: .version1, queues: [nil, nil])])
    }

    @Test func `a notification reaches the device`() throws {
        let fixture = try MMIOTransportFixture()
        fixture.start()
        fixture.write(0, to: .queueNotify)
        fixture.write(1, to: .queueNotify)
        #expect(fixture.device.calls == [.process(0), .process(1)])
    }

    @Test func `a notification goes to the machine if it wants it`() throws {
        let kicks = Mutex<[Int]>([])
        let fixture = try MMIOTransportFixture { index in kicks.withLock { $0.append(index) } }
        fixture.start()
        fixture.write(1, to: .queueNotify)
        #expect(kicks.withLock { $0 } == [0, 1], "one for the queue that was ready, one of the driver")
        #expect(fixture.device.calls.isEmpty)
    }

    @Test(arguments: [2, 0x1_0000, .max] as [UInt32])
    func `a notification of no queue is a fault`(queue: UInt32) throws {
        let fixture = try MMIOTransportFixture()
        fixture.start()
        fixture.write(queue, to: .queueNotify)
        #expect(fixture.device.calls.isEmpty)
        #expect(fixture.faults.count == 1)
    }

    @Test func `a notification before DRIVER_OK is a fault`() throws {
        let fixture = try MMIOTransportFixture()
        fixture.negotiate()
        _ = fixture.device.takeCalls()
        fixture.write(0, to: .queueNotify)
        #expect(fixture.device.calls.isEmpty)
        #expect(fixture.faults.count == 1)
    }

    // MARK: - The end

    @Test func `a reset takes everything back`() throws {
        let fixture = try MMIOTransportFixture()
        fixture.start()
        fixture.device.interrupt?.notifyUsedBuffers()
        fixture.write(1, to: .deviceFeaturesSelect)
        let generation = fixture[.configurationGeneration]
        fixture.write(0, to: .status)
        #expect(fixture.device.calls == [.reset])
        var expected = try MMIOTransportFixture().transport.state
        expected.configurationGeneration = generation + 1
        expected.wasActivated = true
        #expect(fixture.transport.state == expected)
        fixture.start()
        #expect(fixture.status.contains(.driverOK))
        #expect(fixture.device.violations.isEmpty)
    }

    @Test func `a driver that has given up starts again after a reset only`() throws {
        let fixture = try MMIOTransportFixture()
        fixture.add(.acknowledge)
        fixture.add(.failed)
        #expect(fixture.log.messages == ["virtio: the driver has given up"])
        fixture.add(.driver)
        #expect(fixture.status == [.acknowledge, .failed])
        fixture.write(0, to: .status)
        fixture.add([.acknowledge, .driver])
        #expect(fixture.status == [.acknowledge, .driver])
    }

    @Test func `a queue that cannot work asks for a reset and says why`() throws {
        let fixture = try MMIOTransportFixture()
        fixture.device.failActivation(with: .badSize(5))
        fixture.start()
        #expect(fixture.status == [.acknowledge, .driver, .featuresOK, .driverOK, .deviceNeedsReset])
        #expect(fixture[.interruptStatus] == 2)
        #expect(fixture.log.messages.contains { $0.contains(VirtqueueFault.badSize(5).description) })
        fixture.write(0, to: .queueNotify)
        #expect(fixture.device.calls.isEmpty)
        fixture.write(0, to: .status)
        #expect(fixture.status == [])
        #expect(fixture[.interruptStatus] == 0)
    }

    @Test func `a running device that needs a reset tells its driver once`() throws {
        let fixture = try MMIOTransportFixture()
        fixture.start()
        fixture.device.interrupt?.notifyNeedsReset(.badSize(1))
        fixture.device.interrupt?.notifyNeedsReset(.badSize(1))
        #expect(fixture.status.contains(.deviceNeedsReset))
        #expect(fixture.line.takeEdges() == 1)
        fixture.add(.failed)
        #expect(fixture.status.isSuperset(of: [.deviceNeedsReset, .failed]))
    }

    @Test func `a device that was reset needs no reset`() throws {
        let fixture = try MMIOTransportFixture()
        fixture.device.interrupt?.notifyNeedsReset(.badSize(1))
        #expect(fixture.status == [])
        #expect(fixture.line.edgeCount == 0)
    }

    // MARK: - Interrupts

    @Test func `used buffers raise the line until they are acknowledged`() throws {
        let fixture = try MMIOTransportFixture()
        fixture.start()
        fixture.device.interrupt?.notifyUsedBuffers()
        fixture.device.interrupt?.notifyConfigurationChange()
        #expect(fixture.line.takeEdges() == 2)
        #expect(fixture[.interruptStatus] == 3)
        fixture.write(1, to: .interruptAcknowledge)
        #expect(fixture[.interruptStatus] == 2)
        fixture.write(.max, to: .interruptAcknowledge)
        #expect(fixture[.interruptStatus] == 0)
        #expect(fixture.faults.count == 0)
    }

    @Test func `a change of the configuration always counts and interrupts a ready driver only`() throws {
        let fixture = try MMIOTransportFixture()
        let generation = fixture[.configurationGeneration]
        fixture.device.interrupt?.notifyConfigurationChange()
        #expect(fixture[.configurationGeneration] == generation + 1)
        #expect(fixture.line.edgeCount == 0)
        fixture.start()
        fixture.device.interrupt?.notifyConfigurationChange()
        #expect(fixture[.configurationGeneration] == generation + 2)
        #expect(fixture.line.edgeCount == 1)
    }

    // MARK: - Snapshots

    @Test func `a transport goes on where its state was taken`() throws {
        let fixture = try MMIOTransportFixture()
        fixture.start()
        fixture.device.interrupt?.notifyConfigurationChange()
        let state = fixture.transport.state
        let copy = try MMIOTransportFixture(state: state)
        #expect(copy.transport.state == state)
        #expect(copy.device.calls.isEmpty)
        copy.write(0, to: .queueNotify)
        #expect(copy.device.calls == [.process(0)])
    }

    @Test func `a state of another device loses what does not fit`() throws {
        var state = MMIOTransportState()
        var queue = MMIOTransportState.Queue()
        (queue.size, queue.isReady) = (256, true)
        state.queues = [queue, queue, queue]
        state.status = DeviceStatus(rawValue: .max)
        state.interruptStatus = .max
        let restored = try MMIOTransportFixture(state: state).transport.state
        #expect(restored.queues.map(\.isReady) == [true, false])
        #expect(restored.status == .all)
        #expect(restored.interruptStatus == 3)
    }
}
