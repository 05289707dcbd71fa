// SPDX-License-Identifier: Apache-2.0

import Devices
import TestSupport
import Testing
import Virtio

@Suite struct MMIOTransportRegisterTests {
    private static let writeOnly: [MMIORegister] = [
        .deviceFeaturesSelect, .driverFeatures, .driverFeaturesSelect, .queueSelect, .queueSize, .queueNotify,
        .interruptAcknowledge, .queueDescriptorLow, .queueDescriptorHigh, .queueDriverLow, .queueDriverHigh,
        .queueDeviceLow, .queueDeviceHigh, .sharedMemorySelect,
    ]
    private static let readOnly: [MMIORegister] = [
        .magicValue, .version, .deviceID, .vendorID, .deviceFeatures, .queueSizeMaximum, .interruptStatus,
        .sharedMemoryLengthLow, .sharedMemoryLengthHigh, .sharedMemoryBaseLow, .sharedMemoryBaseHigh,
        .configurationGeneration,
    ]

    @Test(
        arguments: [
            (0x00, 0x7472_6976), (0x04, 2), (0x08, 42), (0x0c, 0x544c_544d), (0x34, 256), (0x44, 0), (0x60, 0),
            (0x70, 0),
            (0xb0, 0xffff_ffff), (0xb4, 0xffff_ffff), (0xb8, 0xffff_ffff), (0xbc, 0xffff_ffff), (0xfc, 0),
        ] as [(UInt64, UInt32)]
    )
    func `a fresh device presents itself`(offset: UInt64, value: UInt32) throws {
        let fixture = try MMIOTransportFixture()
        #expect(fixture.transport.read(UInt32.self, at: offset) == value)
        #expect(fixture.faults.count == 0)
    }

    @Test(arguments: [0: 0x2000_0021, 1: 0x8000_0001, 2: 0, .max: 0] as [UInt32: UInt32])
    func `device features come in halves of 32 bits`(selector: UInt32, bits: UInt32) throws {
        let fixture = try MMIOTransportFixture()
        fixture.write(selector, to: .deviceFeaturesSelect)
        #expect(fixture[.deviceFeatures] == bits)
    }

    @Test(arguments: writeOnly)
    func `a register for writing reads as 0 and counts as a fault`(register: MMIORegister) throws {
        let fixture = try MMIOTransportFixture()
        #expect(fixture[register] == 0)
        #expect(fixture.faults.count == 1)
    }

    @Test(arguments: readOnly)
    func `a register for reading keeps its value and counts a fault`(register: MMIORegister) throws {
        let fixture = try MMIOTransportFixture()
        let value = fixture[register]
        fixture.write(~value, to: register)
        #expect(fixture[register] == value)
        #expect(fixture.faults.count == 1)
    }

    @Test(arguments: [0x10c, 0x01c, 0x028, 0x03c, 0x0c0, 0x0f8] as [UInt64])
    func `an offset without a register reads as 0`(offset: UInt64) throws {
        let fixture = try MMIOTransportFixture()
        #expect(fixture.transport.read(UInt32.self, at: offset) == 0)
        fixture.transport.write(UInt32(1), at: offset)
        #expect(fixture.faults.count == (offset < 0x100 ? 2 : 0))
    }

    @Test(arguments: [0, 1, 2, 0x70, 0xfc, 0xfe] as [UInt64])
    func `an access to a register that is not of 4 bytes is a fault`(offset: UInt64) throws {
        let fixture = try MMIOTransportFixture()
        #expect(fixture.transport.read(UInt8.self, at: offset) == 0)
        #expect(fixture.transport.read(UInt16.self, at: offset) == 0)
        #expect(fixture.transport.read(UInt64.self, at: offset) == 0)
        fixture.transport.write(UInt8(1), at: offset)
        fixture.transport.write(UInt16(1), at: offset)
        fixture.transport.write(UInt64(1), at: offset)
        #expect(fixture.faults.count == 6)
        #expect(fixture.status == [])
    }

    @Test(arguments: [1, 0x6e, 0x71, 0xfd] as [UInt64])
    func `an access to a register that is not aligned is a fault`(offset: UInt64) throws {
        let fixture = try MMIOTransportFixture()
        #expect(fixture.transport.read(UInt32.self, at: offset) == 0)
        fixture.transport.write(UInt32.max, at: offset)
        #expect(fixture.faults.count == 2)
        #expect(fixture.status == [])
    }

    @Test func `the configuration takes accesses of every size`() throws {
        let fixture = try MMIOTransportFixture()
        #expect(fixture.transport.read(UInt8.self, at: 0x100) == 0x01)
        #expect(fixture.transport.read(UInt16.self, at: 0x102) == 0x0403)
        #expect(fixture.transport.read(UInt32.self, at: 0x104) == 0x0807_0605)
        #expect(fixture.transport.read(UInt64.self, at: 0x108) == 0x0c0b_0a09)
        #expect(fixture.transport.read(UInt64.self, at: .max) == 0)
        fixture.transport.write(UInt16(0x0201), at: 0x103)
        #expect(fixture.device.calls == [.write(offset: 3, bytes: [1, 2])])
        #expect(fixture.faults.count == 0)
    }

    // MARK: - Queues

    @Test(arguments: [0: 256, 1: 128, 2: 0, 0xffff_ffff: 0] as [UInt32: UInt32])
    func `the selected queue has its own maximum, one beyond the last has 0`(queue: UInt32, size: UInt32) throws {
        let fixture = try MMIOTransportFixture()
        fixture.write(queue, to: .queueSelect)
        #expect(fixture[.queueSizeMaximum] == size)
    }

    @Test func `a queue that does not exist is never ready`() throws {
        let fixture = try MMIOTransportFixture()
        fixture.setUpQueue(2)
        #expect(fixture[.queueReady] == 0)
        #expect(fixture.faults.count == 5)
    }

    @Test(arguments: [0, 3, 100, 255, 257, 512, 0x1_0040, .max] as [UInt32])
    func `a queue of a bad size does not become ready`(size: UInt32) throws {
        let fixture = try MMIOTransportFixture()
        fixture.setUpQueue(0, size: size)
        #expect(fixture[.queueReady] == 0)
        #expect(fixture.faults.count >= 1)
    }

    @Test func `a size above the maximum leaves the one before`() throws {
        let fixture = try MMIOTransportFixture()
        fixture.setUpQueue(0, size: 16)
        fixture.write(0, to: .queueReady)
        fixture.write(512, to: .queueSize)
        #expect(fixture.transport.state.queues.first?.size == 16)
        #expect(fixture.faults.count == 1)
    }

    @Test func `a queue that is ready does not change`() throws {
        let fixture = try MMIOTransportFixture()
        fixture.setUpQueue(0)
        let state = fixture.transport.state
        let registers: [MMIORegister] = [
            .queueSize, .queueDescriptorLow, .queueDescriptorHigh, .queueDriverLow, .queueDriverHigh, .queueDeviceLow,
            .queueDeviceHigh, .queueReady,
        ]
        for register in registers { fixture.write(1, to: register) }
        #expect(fixture.transport.state == state)
        #expect(fixture.faults.count == 8)
    }

    @Test func `a queue that was taken back may change again`() throws {
        let fixture = try MMIOTransportFixture()
        fixture.setUpQueue(0)
        #expect(fixture[.queueReady] == 1)
        fixture.write(0, to: .queueReady)
        #expect(fixture[.queueReady] == 0)
        fixture.setUpQueue(0, size: 8)
        #expect(fixture.transport.state.queues.first?.size == 8)
        #expect(fixture.faults.count == 0)
    }

    @Test func `no queue changes while the device runs`() throws {
        let fixture = try MMIOTransportFixture()
        fixture.start()
        let state = fixture.transport.state
        fixture.write(0, to: .queueReady)
        #expect(fixture[.queueReady] == 1)
        fixture.setUpQueue(1)
        #expect(fixture[.queueReady] == 0)
        #expect(fixture.transport.state.queues == state.queues)
        #expect(fixture.faults.count == 6)
    }

    @Test func `QueueReady takes 0 and 1 only`() throws {
        let fixture = try MMIOTransportFixture()
        fixture.write(16, to: .queueSize)
        fixture.write(3, to: .queueReady)
        #expect(fixture[.queueReady] == 0)
        #expect(fixture.faults.count == 1)
    }
}
