// SPDX-License-Identifier: Apache-2.0

import Devices
import TestSupport
import Testing

@Suite struct ExitStatusPortTests {
    private let requests = RecordingGuestRequests()

    @Test func `a byte ends the machine with its value`() {
        ExitStatusPort(onRequest: requests.handler).write(UInt8(42), at: 0)
        #expect(requests.requests == [.exit(42)])
    }

    @Test func `a wider write counts by its low 8 bits, once`() {
        let port = ExitStatusPort(onRequest: requests.handler)
        port.write(UInt16(0x0103), at: 0)
        port.write(UInt32(0xffff_ff00), at: 0)
        #expect(requests.requests == [.exit(3), .exit(0)])
    }

    @Test func `a wide write through a window of one port means the same`() throws {
        var builder = BusBuilder.ports
        let port = ExitStatusPort(onRequest: requests.handler)
        try builder.insert(port, at: BusRange(start: 0x501, byteCount: 1), named: "exit")
        builder.build(faults: GuestFaultLog(device: "bus")).write(UInt32(0x1234_5607), at: 0x501)
        #expect(requests.requests == [.exit(7)])
    }

    @Test func `reads give zero and ask for nothing`() {
        let port = ExitStatusPort(onRequest: requests.handler)
        #expect(port.read(UInt32.self, at: 0) == 0)
        port.write(UInt8(1), at: 1)
        #expect(requests.requests.isEmpty)
    }
}

@Suite struct PvpanicTests {
    private let requests = RecordingGuestRequests()

    @Test func `a driver finds the supported events`() {
        #expect(Pvpanic(onRequest: requests.handler).read(0) == 0b111)
    }

    @Test(arguments: [(1, .panicked), (2, .crashLoaded), (4, .shutDown)] as [(UInt8, GuestRequest)])
    func `an event is reported`(value: UInt8, request: GuestRequest) {
        let device = Pvpanic(onRequest: requests.handler)
        device.write(value, at: 0)
        #expect(requests.requests == [request])
        #expect(device.state.announced.rawValue == value)
    }

    @Test func `a loaded crash kernel is reported before the panic`() {
        Pvpanic(onRequest: requests.handler).write(UInt8(0b011), at: 0)
        #expect(requests.requests == [.crashLoaded, .panicked])
    }

    @Test func `unknown bits are ignored and counted`() {
        let faults = GuestFaultLog(device: "pvpanic")
        let device = Pvpanic(faults: faults, onRequest: requests.handler)
        device.write(UInt8(0xf8), at: 0)
        #expect(requests.requests.isEmpty)
        #expect(faults.count == 1)
    }

    @Test func `state survives`() {
        let device = Pvpanic(onRequest: requests.handler)
        device.write(UInt8(1), at: 0)
        #expect(Pvpanic(state: device.state, onRequest: requests.handler).state == device.state)
    }
}

@Suite struct ACPIPowerPortTests {
    private let requests = RecordingGuestRequests()
    private let line = RecordingInterruptLine()

    private func makePort() -> ACPIPowerPort {
        ACPIPowerPort(interrupt: line, onRequest: requests.handler)
    }

    @Test func `SLP_EN with the type of soft-off turns the machine off`() {
        makePort().write(UInt8(5 << 2 | 1 << 5), at: 0)
        #expect(requests.requests == [.powerOff])
    }

    @Test func `the sleep type without SLP_EN does nothing`() {
        makePort().write(UInt8(5 << 2), at: 0)
        #expect(requests.requests.isEmpty)
    }

    @Test func `another sleep type wakes at once`() {
        let port = makePort()
        port.write(UInt8(1 << 2 | 1 << 5), at: 0)
        #expect(requests.requests.isEmpty)
        #expect(port.read(1) == 0x80)
        port.write(UInt8(0x80), at: 1)
        #expect(port.read(1) == 0)
    }

    @Test func `the reset register resets by the value 1 only`() {
        let port = makePort()
        port.write(UInt8(0), at: 2)
        #expect(requests.requests.isEmpty)
        port.write(UInt8(1), at: 2)
        #expect(requests.requests == [.reset])
    }

    @Test func `the power button is an interrupt and an event that is read once`() {
        let port = makePort()
        port.pressPowerButton()
        #expect(line.edgeCount == 1)
        #expect(port.read(3) == 1)
        #expect(port.read(3) == 0)
    }

    @Test func `another generation is an event beside the power button`() {
        let port = makePort()
        port.pressPowerButton()
        port.announceGeneration()
        #expect(line.edgeCount == 2)
        #expect(port.read(3) == 3)
    }

    @Test func `a press before the first is read is not lost for the line`() {
        let port = makePort()
        port.pressPowerButton()
        port.pressPowerButton()
        #expect(line.edgeCount == 2)
        #expect(port.read(3) == 1)
    }

    @Test func `state survives with an unread event`() {
        let port = makePort()
        port.pressPowerButton()
        let restored = ACPIPowerPort(state: port.state, interrupt: line, onRequest: requests.handler)
        #expect(restored.state == port.state)
        #expect(restored.read(3) == 1)
    }
}
