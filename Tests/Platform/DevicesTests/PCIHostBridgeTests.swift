// SPDX-License-Identifier: Apache-2.0

import Devices
import TestSupport
import Testing

@Suite struct PCIHostBridgeTests {
    private let requests = RecordingGuestRequests()
    private let bridge: PCIHostBridge

    init() { bridge = PCIHostBridge(onRequest: requests.handler) }

    private func configuration(_ register: UInt32, device: UInt32 = 0, bus: UInt32 = 0) -> UInt32 {
        bridge.write(1 << 31 | bus << 16 | device << 11 | register, at: 0)
        return bridge.read(UInt32.self, at: 4)
    }

    @Test func `a kernel that probes for mechanism 1 finds it`() {
        // Linux, pci_check_type1
        bridge.write(0x01 as UInt8, at: 3)
        bridge.write(0x8000_0000 as UInt32, at: 0)
        #expect(bridge.read(UInt32.self, at: 0) == 0x8000_0000)
        // pci_sanity_check
        bridge.write(0x8000_0008 as UInt32, at: 0)
        #expect(bridge.read(UInt16.self, at: 6) == 0x0600)
    }

    @Test func `the bridge is alone on bus 0, and there is no other bus`() {
        #expect(configuration(0x00) == 0x0d57_8086)
        #expect(configuration(0x0c) == 0)
        for device in 1..<32 as Range<UInt32> { #expect(configuration(0x00, device: device) == .max) }
        #expect(configuration(0x00, bus: 1) == .max)
        bridge.write(0x8000_0100 as UInt32, at: 0)
        #expect(bridge.read(UInt32.self, at: 4) == .max)
    }

    @Test func `registers are read by byte and word, and cannot be written`() {
        _ = configuration(0x00)
        bridge.write(0 as UInt32, at: 4)
        #expect(bridge.read(4) == 0x86)
        #expect(bridge.read(7) == 0x0d)
        #expect(bridge.read(UInt16.self, at: 6) == 0x0d57)
    }

    @Test func `the data port is silent while the address is not enabled`() {
        bridge.write(0x0000_0000 as UInt32, at: 0)
        #expect(bridge.read(UInt32.self, at: 4) == .max)
    }

    @Test func `bits of the address that do not exist read as 0, and narrow accesses do not reach it`() {
        bridge.write(UInt32.max, at: 0)
        bridge.write(0 as UInt16, at: 0)
        #expect(bridge.read(UInt32.self, at: 0) == 0x80ff_fffc)
        #expect(bridge.read(UInt16.self, at: 0) == .max)
        let other = PCIHostBridge(onRequest: requests.handler)
        other.restore(bridge.state)
        #expect(other.state == bridge.state)
    }

    @Test func `the reset control register resets the machine`() {
        bridge.write(0x02 as UInt8, at: 1)
        #expect(requests.requests.isEmpty)
        bridge.write(0x06 as UInt8, at: 1)
        #expect(requests.requests == [.reset])
    }
}
