// SPDX-License-Identifier: Apache-2.0

import Devices
import TestSupport
import Testing

@Suite struct SerialPortLinuxTests {
    @Test func `autoconfiguration finds a 16550A`() {
        let rig = SerialRig()
        #expect(LinuxSerialDriver(port: rig.port).autoconfigure() == .uart16550A)
        #expect(rig.output.bytes.isEmpty)
        #expect(rig.line.edgeCount == 0)
    }

    @Test func `start-up sees no bug of the transmitter interrupt`() {
        let rig = SerialRig()
        let driver = LinuxSerialDriver(port: rig.port)
        _ = driver.autoconfigure()
        let bugs = driver.startUp()
        #expect(!bugs.thre)
        #expect(!bugs.txen)
    }

    @Test func `input that was there first survives the whole start of the driver`() {
        let rig = SerialRig()
        let driver = LinuxSerialDriver(port: rig.port)
        var commands = Array("echo hello\npoweroff\n".utf8)
        func offer() { commands.removeFirst(rig.send(commands)) }
        offer()
        #expect(driver.autoconfigure() == .uart16550A)
        offer()
        #expect(driver.measureFIFO() == 16)
        var received: [UInt8] = []
        for _ in 0..<3 {  // opened and closed by init scripts
            _ = driver.startUp()
            driver.setTermios()
            driver.setTermios()
            driver.shutDown()
            offer()
        }
        _ = driver.startUp()
        driver.setTermios()
        while rig.line.takeEdges() > 0 {
            received += driver.handleInterrupts()
            if rig.input.takeCalls() > 0 || !commands.isEmpty { offer() }
        }
        #expect(received == Array("echo hello\npoweroff\n".utf8))
    }

    @Test func `output is one interrupt per FIFO`() {
        let rig = SerialRig()
        let driver = LinuxSerialDriver(port: rig.port)
        _ = driver.autoconfigure()
        _ = driver.startUp()
        driver.setTermios()
        _ = rig.line.takeEdges()
        let text = [UInt8](repeating: 0x2e, count: 160)
        var rest = text[...]
        driver.startTransmitting()
        #expect(rig.line.takeEdges() == 1)
        _ = driver.handleInterrupts { rest.popFirst() }
        #expect(rig.output.bytes == text)
        #expect(rig.line.takeEdges() <= 11)
    }

    @Test func `a break and the key after it arrive as Magic SysRq needs them`() {
        let rig = SerialRig(interrupts: 0x05)
        #expect(rig.port.receiveBreak())
        #expect(rig.send("h") == 1)
        #expect(rig.port.read(Reg.iir) == 0xc6)
        #expect(rig.port.read(Reg.lsr) & 0x11 == 0x11)
        #expect(rig.port.read(Reg.data) == 0)
        #expect(rig.port.read(Reg.lsr) & 0x11 == 0x01)
        #expect(rig.port.read(Reg.data) == 0x68)
    }
}
