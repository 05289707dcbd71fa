// SPDX-License-Identifier: Apache-2.0

import Devices
import GuestMemory
import TestSupport
import Virtio

/// A transport with everything around it, and the driver's side of it.
struct MMIOTransportFixture {
    let device: RecordingVirtioDevice
    let line = RecordingInterruptLine()
    let log = RecordingLog()
    let faults: GuestFaultLog
    let transport: MMIOTransport

    /// All that `device` offers by default and the transport needs.
    static let features: VirtioFeatures = [.version1, .ringEventIndex]

    init(
        _ device: RecordingVirtioDevice = RecordingVirtioDevice(),
        state: MMIOTransportState = MMIOTransportState(),
        onKick: (@Sendable (Int) -> Void)? = nil
    ) throws {
        self.device = device
        faults = GuestFaultLog(device: "virtio", logger: log.logger)
        transport = MMIOTransport(
            device: device,
            memory: try GuestMemory(regions: [GuestMemoryRegion(start: 0, byteCount: 1 << 16)]),
            interrupt: line,
            faults: faults,
            state: state,
            onKick: onKick
        )
    }

    subscript(register: MMIORegister) -> UInt32 {
        transport.read(UInt32.self, at: register.rawValue)
    }

    func write(_ value: UInt32, to register: MMIORegister) {
        transport.write(value, at: register.rawValue)
    }

    var status: DeviceStatus { DeviceStatus(rawValue: self[.status]) }

    /// Sets status bits as Linux does: reads, adds, writes.
    func add(_ bits: DeviceStatus) {
        write(status.union(bits).rawValue, to: .status)
    }

    func accept(_ features: VirtioFeatures) {
        write(1, to: .driverFeaturesSelect)
        write(UInt32(truncatingIfNeeded: features.rawValue >> 32), to: .driverFeatures)
        write(0, to: .driverFeaturesSelect)
        write(UInt32(truncatingIfNeeded: features.rawValue), to: .driverFeatures)
    }

    /// All steps up to `FEATURES_OK`.
    func negotiate(_ features: VirtioFeatures = Self.features) {
        add(.acknowledge)
        add(.driver)
        accept(features)
        add(.featuresOK)
    }

    func setUpQueue(_ index: UInt32, size: UInt32 = 64) {
        write(index, to: .queueSelect)
        write(size, to: .queueSize)
        write(0x1000, to: .queueDescriptorLow)
        write(0x2000, to: .queueDriverLow)
        write(0x3000, to: .queueDeviceLow)
        write(1, to: .queueReady)
    }

    /// A device that runs with one queue, nothing recorded so far.
    func start() {
        negotiate()
        setUpQueue(0)
        add(.driverOK)
        _ = device.takeCalls()
        _ = line.takeEdges()
    }
}
