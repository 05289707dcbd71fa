// SPDX-License-Identifier: Apache-2.0

import Devices
import TestSupport
import Testing

/// Devices of the PC that go on from the state of another one, and raise the line whose cause is pending.
@Suite struct DeviceRestoreTests {
    private let line = RecordingInterruptLine()

    @Test func `a power button that the guest has not read interrupts again`() {
        let port = ACPIPowerPort(interrupt: RecordingInterruptLine()) { _ in }
        let other = ACPIPowerPort(interrupt: line) { _ in }
        other.restore(port.state)
        #expect(line.takeEdges() == 0)
        port.pressPowerButton()
        other.restore(port.state)
        #expect(line.takeEdges() == 1)
        #expect(other.state == port.state)
        #expect(other.read(3) == ACPIPowerPort.powerButtonEvent)
    }

    @Test func `a key that the guest has not read interrupts again`() {
        let controller = I8042(interrupt: RecordingInterruptLine()) { _ in }
        let other = I8042(interrupt: line) { _ in }
        other.restore(controller.state)
        #expect(line.takeEdges() == 0)
        #expect(controller.pressCtrlAltDelete())
        other.restore(controller.state)
        #expect(line.takeEdges() == 1)
        #expect(other.state == controller.state)
    }

    @Test func `a serial port keeps its registers, and interrupts again`() {
        let port = SerialPort(interrupt: RecordingInterruptLine(), output: RecordingSerialOutput())
        let other = SerialPort(interrupt: line, output: RecordingSerialOutput())
        port.write(0x08 as UInt8, at: 4)
        port.write(0x0f as UInt8, at: 1)
        #expect(port.state.interruptLevel)
        other.restore(port.state)
        #expect(line.takeEdges() >= 1)
        #expect(other.state == port.state)
    }

    @Test func `what a guest has announced is kept`() {
        let notifier = Pvpanic { _ in }
        notifier.write(1 as UInt8, at: 0)
        let other = Pvpanic { _ in }
        other.restore(notifier.state)
        #expect(other.state.announced == .panicked)
    }
}
