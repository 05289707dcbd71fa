// SPDX-License-Identifier: Apache-2.0

import Devices
import TestSupport
import Testing

@Suite struct SerialPortTests {
    // MARK: - Registers

    @Test func `after reset the registers hold what table III of the datasheet says`() {
        let port = SerialRig().port
        let values = [Reg.ier, Reg.iir, Reg.lcr, Reg.mcr, Reg.lsr, Reg.msr].map { port.read($0) }
        #expect(values == [0x00, 0x01, 0x00, 0x00, 0x60, 0xb0])
    }

    @Test(
        arguments: [
            (Reg.ier, 0x0f), (Reg.lcr, 0xff), (Reg.mcr, 0x1f), (Reg.scr, 0xff), (Reg.lsr, 0), (Reg.msr, 0),
        ] as [(UInt64, UInt8)]
    )
    func `only implemented bits can be written`(register: UInt64, writable: UInt8) {
        for value in UInt8.min...UInt8.max {
            let port = SerialRig().port
            let before = port.read(register)
            port.write(value, at: register)
            if writable != 0 {
                #expect(port.read(register) == value & writable)
            } else {
                #expect(port.read(register) == before)
            }
        }
    }

    @Test func `DLAB opens the divisor latch`() {
        let rig = SerialRig()
        rig.port.write(UInt8(0x83), at: Reg.lcr)
        rig.port.write(UInt8(0x34), at: Reg.data)
        rig.port.write(UInt8(0x12), at: Reg.ier)
        #expect(rig.port.read(UInt16.self, at: 0) == 0x1234)
        rig.port.write(UInt8(0x03), at: Reg.lcr)
        #expect(rig.port.read(Reg.ier) == 0)
        #expect(rig.output.bytes.isEmpty)
        #expect(rig.port.state.divisor == 0x1234)
    }

    @Test func `a wide access is one access per register`() {
        let rig = SerialRig()
        rig.port.write(UInt16(0x0541), at: Reg.data)
        #expect(rig.output.bytes == [0x41])
        #expect(rig.port.read(Reg.ier) == 5)
        #expect(rig.port.read(UInt64.self, at: 0) == 0x00b0_6000_0001_0500)
    }

    @Test func `offsets beyond the registers read as ones and are counted`() {
        let rig = SerialRig()
        #expect(rig.port.read(UInt16.self, at: 7) == 0xff00)
        rig.port.write(UInt8(1), at: .max)
        rig.port.write(UInt8(1), at: Reg.lsr)
        #expect(rig.faults.count == 3)
    }

    // MARK: - Transmitter

    @Test func `bytes leave in order and THR is empty again at once`() {
        let rig = SerialRig()
        for byte in UInt8.min...UInt8.max {
            #expect(rig.port.read(Reg.lsr) & 0x60 == 0x60)
            rig.port.write(byte, at: Reg.data)
        }
        #expect(rig.output.bytes == Array(UInt8.min...UInt8.max))
    }

    @Test func `an output without room makes THR look full, and nothing is lost`() {
        let rig = SerialRig(interrupts: 0x02)
        _ = rig.port.read(Reg.iir)
        rig.output.setRoom(false)
        rig.port.write(UInt8(1), at: Reg.data)
        #expect(rig.port.read(Reg.lsr) & 0x60 == 0)
        #expect(rig.port.read(Reg.iir) == 0xc1)
        rig.port.write(UInt8(2), at: Reg.data)
        #expect(rig.line.takeEdges() == 0)
        rig.output.setRoom(true)
        rig.port.outputBecameReady()
        #expect(rig.line.takeEdges() == 1)
        #expect(rig.port.read(Reg.iir) == 0xc2)
        #expect(rig.port.read(Reg.lsr) & 0x60 == 0x60)
        #expect(rig.output.bytes == [1, 2])
    }

    @Test func `enabling ETBEI while THR is full waits for room`() {
        let rig = SerialRig(interrupts: 0)
        rig.output.setRoom(false)
        rig.port.write(UInt8(1), at: Reg.data)
        rig.port.write(UInt8(2), at: Reg.ier)
        #expect(rig.port.read(Reg.iir) == 0xc1)
        rig.output.setRoom(true)
        rig.port.outputBecameReady()
        #expect(rig.line.takeEdges() == 1)
    }

    @Test func `readiness that is reported twice is one interrupt`() {
        let rig = SerialRig(interrupts: 0x02)
        _ = rig.port.read(Reg.iir)
        rig.port.outputBecameReady()
        #expect(rig.line.takeEdges() == 0)
        #expect(rig.port.read(Reg.iir) == 0xc1)
    }

    @Test func `enabling ETBEI with an empty THR interrupts, each time`() {
        let rig = SerialRig(interrupts: 0)
        for _ in 0..<3 {
            rig.port.write(UInt8(2), at: Reg.ier)
            #expect(rig.line.takeEdges() == 1)
            #expect(rig.port.read(Reg.iir) == 0xc2)
            #expect(rig.port.read(Reg.iir) == 0xc1)
            rig.port.write(UInt8(0), at: Reg.ier)
        }
    }

    @Test func `a FIFO full of bytes is one interrupt, also for a driver that reads no IIR`() {
        let rig = SerialRig(interrupts: 0x02)
        for _ in 0..<4 {
            #expect(rig.port.read(Reg.lsr) & 0x20 != 0)
            for byte in UInt8(0)..<16 {
                rig.port.write(byte, at: Reg.data)
            }
            #expect(rig.line.takeEdges() == 1)
        }
        #expect(rig.output.bytes.count == 64)
    }

    @Test func `a break of the guest reaches the output when it begins and when it ends`() {
        let rig = SerialRig()
        for lcr in [0x43, 0x43, 0x03, 0x03] as [UInt8] {
            rig.port.write(lcr, at: Reg.lcr)
        }
        #expect(rig.output.breaks == [true, false])
    }

    // MARK: - Interrupt priorities

    @Test func `interrupts are identified by priority, and each by its own reset`() {
        let rig = SerialRig(fifoControl: 0x41, interrupts: 0x0f)
        rig.port.setModemInputs([])
        #expect(rig.port.receiveBreak())
        #expect(rig.send([1, 2, 3]) == 3)
        #expect(rig.port.read(Reg.iir) == 0xc6)
        #expect(rig.port.read(Reg.lsr) == 0xf1)
        #expect(rig.port.read(Reg.iir) == 0xc4)
        _ = rig.port.read(Reg.data)
        // Three are left, below the trigger of four, and the line falls silent.
        #expect(rig.port.read(Reg.iir) == 0xc2)
        #expect(rig.input.takeCalls() == 1)
        #expect(rig.send([]) == 0)
        #expect(rig.port.read(Reg.iir) == 0xcc)
        for byte in [1, 2, 3] as [UInt8] {
            #expect(rig.port.read(Reg.data) == byte)
        }
        #expect(rig.port.read(Reg.iir) == 0xc0)
        #expect(rig.port.read(Reg.msr) == 0x0b)
        #expect(rig.port.read(Reg.iir) == 0xc1)
    }

    @Test func `reading IIR takes back the THRE interrupt only if it is the one reported`() {
        let rig = SerialRig(interrupts: 0x03)
        #expect(rig.send([7]) == 1)
        #expect(rig.port.read(Reg.iir) == 0xcc)
        _ = rig.port.read(Reg.data)
        #expect(rig.port.read(Reg.iir) == 0xc2)
        #expect(rig.port.read(Reg.iir) == 0xc1)
    }

    @Test func `without OUT2 an interrupt is identified and not signalled`() {
        let rig = SerialRig(interrupts: 0x02)
        _ = rig.port.read(Reg.iir)
        rig.port.write(UInt8(0x03), at: Reg.mcr)
        rig.port.write(UInt8(0x41), at: Reg.data)
        #expect(rig.line.takeEdges() == 0)
        #expect(rig.port.read(Reg.msr) & 0x0f == 0)
        rig.port.write(UInt8(0x0b), at: Reg.mcr)
        #expect(rig.line.takeEdges() == 1)
        #expect(rig.port.read(Reg.iir) == 0xc2)
    }

    // MARK: - Receiver

    @Test(arguments: [(0x01, 1), (0x41, 4), (0x81, 8), (0xc1, 14)] as [(UInt8, Int)])
    func `the trigger level tells received data from a timeout`(fifoControl: UInt8, level: Int) {
        let rig = SerialRig(fifoControl: fifoControl, interrupts: 0x01)
        for count in 1...16 {
            #expect(rig.send([UInt8(count)]) == 1)
            #expect(rig.port.read(Reg.iir) == (count >= level ? 0xc4 : 0xcc))
        }
        #expect(rig.line.takeEdges() == 1)
        #expect(rig.send([17]) == 0)
        #expect(rig.drain() == Array(1...16))
    }

    @Test func `a driver that takes part of the FIFO is interrupted again for the rest`() {
        let rig = SerialRig(interrupts: 0x01)
        #expect(rig.send("0123456789") == 10)
        #expect(rig.line.takeEdges() == 1)
        for _ in 0..<8 {
            _ = rig.port.read(Reg.data)
        }
        #expect(rig.input.takeCalls() == 1)
        #expect(rig.port.read(Reg.iir) == 0xc1)
        #expect(rig.send("") == 0)
        #expect(rig.line.takeEdges() == 1)
        #expect(rig.port.read(Reg.iir) == 0xcc)
        #expect(rig.drain() == Array("89".utf8))
    }

    @Test func `without an input the timeout follows at once`() {
        let line = RecordingInterruptLine()
        let port = SerialPort(interrupt: line, output: RecordingSerialOutput())
        port.write(UInt8(0x81), at: Reg.fcr)
        port.write(UInt8(0x08), at: Reg.mcr)
        port.write(UInt8(0x01), at: Reg.ier)
        #expect(port.receive([1, 2].span) == 2)
        #expect(line.takeEdges() == 1)
        #expect(port.read(Reg.data) == 1)
        #expect(line.takeEdges() == 1)
        #expect(port.read(Reg.iir) == 0xcc)
    }

    @Test func `in 16450 mode every byte is an interrupt of its own`() {
        let rig = SerialRig(fifoControl: 0x00, interrupts: 0x01)
        #expect(rig.send("abc") == 3)
        for byte in "abc".utf8 {
            #expect(rig.line.takeEdges() == 1)
            #expect(rig.port.read(Reg.iir) == 0x04)
            #expect(rig.port.read(Reg.data) == byte)
        }
        #expect(rig.line.takeEdges() == 0)
        #expect(rig.port.read(Reg.lsr) & 1 == 0)
    }

    @Test func `an empty RBR gives the last byte again`() {
        let rig = SerialRig(interrupts: 0x01)
        #expect(rig.send([0x55]) == 1)
        #expect(rig.port.read(Reg.data) == 0x55)
        #expect(rig.port.read(Reg.data) == 0x55)
    }

    @Test func `errors belong to their character in the FIFO`() {
        let rig = SerialRig(interrupts: 0x05)
        #expect(rig.send("a") == 1)
        #expect(rig.port.receive(.parityError(0x62)))
        #expect(rig.port.receive(.framingError(0x63)))
        #expect(rig.port.receiveBreak())
        #expect(rig.send("e") == 1)
        let seen = (0..<5).map { _ in [rig.port.read(Reg.lsr), rig.port.read(Reg.data)] }
        #expect(seen == [[0xe1, 0x61], [0xe5, 0x62], [0xe9, 0x63], [0xf1, 0], [0x61, 0x65]])
    }

    @Test func `reading LSR clears the errors of the top character, and bit 7 with the last one`() {
        let rig = SerialRig(interrupts: 0x04 | 0x01)
        #expect(rig.port.receiveBreak())
        #expect(rig.line.takeEdges() == 1)
        #expect(rig.port.read(Reg.iir) == 0xc6)
        #expect(rig.port.read(Reg.lsr) == 0xf1)
        #expect(rig.port.read(Reg.lsr) == 0x61)
        #expect(rig.port.read(Reg.iir) == 0xcc)
    }

    @Test func `in 16450 mode an error stays until LSR is read, and bit 7 is 0`() {
        let rig = SerialRig(fifoControl: 0, interrupts: 0x01)
        #expect(rig.port.receive(.parityError(0x70)))
        #expect(rig.port.read(Reg.data) == 0x70)
        #expect(rig.port.read(Reg.lsr) == 0x64)
        #expect(rig.port.read(Reg.lsr) == 0x60)
    }

    // MARK: - Modem lines

    @Test func `changes of the modem lines set their delta bits once`() {
        let rig = SerialRig(interrupts: 0x08)
        rig.port.setModemInputs([.clearToSend, .dataSetReady, .dataCarrierDetect, .ringIndicator])
        #expect(rig.line.takeEdges() == 0)
        #expect(rig.port.read(Reg.msr) == 0xf0)
        rig.port.setModemInputs([.dataSetReady, .dataCarrierDetect])
        #expect(rig.line.takeEdges() == 1)
        #expect(rig.port.read(Reg.iir) == 0xc0)
        #expect(rig.port.read(Reg.msr) == 0xa5)
        #expect(rig.port.read(Reg.msr) == 0xa0)
        rig.port.setModemInputs([])
        #expect(rig.port.read(Reg.msr) == 0x0a)
    }

    @Test func `DTR tells whether a driver has the port open`() {
        let rig = SerialRig(interrupts: 0)
        #expect(rig.port.isDataTerminalReady)
        rig.port.write(UInt8(0x11), at: Reg.mcr)
        #expect(!rig.port.isDataTerminalReady)
    }

    // MARK: - Loopback

    @Test(arguments: UInt8(0)..<16)
    func `in loopback the modem outputs are the inputs`(outputs: UInt8) {
        let rig = SerialRig()
        rig.port.write(0x10 | outputs, at: Reg.mcr)
        let (dtr, rts) = (outputs & 1, outputs >> 1 & 1)
        let (out1, out2) = (outputs >> 2 & 1, outputs >> 3 & 1)
        #expect(rig.port.read(Reg.msr) & 0xf0 == rts << 4 | dtr << 5 | out1 << 6 | out2 << 7)
    }

    @Test func `in loopback what is sent is received and stays inside`() {
        let rig = SerialRig(interrupts: 0)
        rig.port.write(UInt8(0x10), at: Reg.mcr)
        for byte in UInt8(0)..<16 {
            rig.port.write(byte, at: Reg.data)
        }
        #expect(rig.port.read(Reg.lsr) == 0x61)
        #expect(rig.drain() == Array(0..<16))
        #expect(rig.output.bytes.isEmpty)
    }

    @Test func `a FIFO that overruns keeps the old bytes and sets OE`() {
        let rig = SerialRig(interrupts: 0)
        rig.port.write(UInt8(0x10), at: Reg.mcr)
        for byte in UInt8(0)..<20 {
            rig.port.write(byte, at: Reg.data)
        }
        #expect(rig.port.read(Reg.lsr) == 0x63)
        #expect(rig.port.read(Reg.lsr) == 0x61)
        #expect(rig.drain() == Array(0..<16))
    }

    @Test func `in 16450 mode an overrun replaces the byte`() {
        let rig = SerialRig(fifoControl: 0, interrupts: 0)
        rig.port.write(UInt8(0x10), at: Reg.mcr)
        rig.port.write(UInt8(1), at: Reg.data)
        rig.port.write(UInt8(2), at: Reg.data)
        #expect(rig.port.read(Reg.lsr) == 0x63)
        #expect(rig.drain() == [2])
    }

    @Test func `loopback identifies interrupts, and OUT2's pin is inactive`() {
        let rig = SerialRig(interrupts: 0)
        rig.port.write(UInt8(0x18), at: Reg.mcr)
        _ = rig.port.read(Reg.msr)
        rig.port.write(UInt8(0x0f), at: Reg.ier)
        #expect(rig.port.read(Reg.iir) == 0xc2)
        rig.port.write(UInt8(9), at: Reg.data)
        #expect(rig.port.read(Reg.iir) == 0xcc)
        #expect(rig.line.takeEdges() == 0)
    }

    @Test func `loopback works while the output has no room`() {
        let rig = SerialRig(interrupts: 0)
        rig.output.setRoom(false)
        rig.port.write(UInt8(1), at: Reg.data)
        #expect(rig.port.read(Reg.lsr) & 0x60 == 0)
        rig.port.write(UInt8(0x10), at: Reg.mcr)
        #expect(rig.port.read(Reg.lsr) & 0x60 == 0x60)
        rig.port.write(UInt8(0x00), at: Reg.mcr)
        #expect(rig.port.read(Reg.lsr) & 0x60 == 0)
    }
}
