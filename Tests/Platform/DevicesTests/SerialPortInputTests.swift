// SPDX-License-Identifier: Apache-2.0

import Devices
import TestSupport
import Testing

/// Tests of the time at which input reaches the guest; the rule is in the documentation of `SerialPort`.
@Suite struct SerialPortInputTests {
    @Test func `bytes wait until the guest enables received-data interrupts`() {
        let rig = SerialRig()
        #expect(rig.send("ls\n") == 3)
        #expect(rig.port.read(Reg.lsr) & 1 == 0)
        rig.port.write(UInt8(0x81), at: Reg.fcr)
        rig.port.write(UInt8(0x0b), at: Reg.mcr)
        #expect(rig.port.read(Reg.lsr) & 1 == 0)
        rig.port.write(UInt8(0x01), at: Reg.ier)
        #expect(rig.line.takeEdges() == 1)
        #expect(rig.drain() == Array("ls\n".utf8))
    }

    @Test func `the port takes sixteen bytes ahead and no more`() {
        let rig = SerialRig()
        #expect(rig.send([UInt8](repeating: 1, count: 100)) == 16)
        #expect(rig.send([2]) == 0)
        #expect(!rig.port.receiveBreak())
    }

    @Test func `a blind read drains nothing of what waits`() {
        let rig = SerialRig()
        #expect(rig.send("x") == 1)
        #expect(rig.port.read(Reg.data) == 0)
        rig.port.write(UInt8(0x01), at: Reg.ier)
        #expect(rig.drain() == [0x78])
    }

    @Test func `a guest that polls LSR gets its input without interrupts`() {
        let rig = SerialRig()
        #expect(rig.send("hello") == 5)
        var polls = 0
        while rig.port.read(Reg.lsr) & 1 == 0, polls < 1000 {
            polls += 1
        }
        #expect(polls == 16)
        var text: [UInt8] = []
        for _ in 0..<5 {
            #expect(rig.port.read(Reg.lsr) & 1 == 1)
            text.append(rig.port.read(Reg.data))
            rig.port.write(text[text.count - 1], at: Reg.data)  // echo
        }
        #expect(text == Array("hello".utf8))
        #expect(rig.send("!") == 1)
        #expect(rig.drain() == [0x21])
    }

    @Test func `a guest that prints and looks for a key in turns gets its input`() {
        let rig = SerialRig()
        #expect(rig.send("q") == 1)
        var rounds = 0
        while rounds < 100 {
            rounds += 1
            while rig.port.read(Reg.lsr) & 0x20 == 0 {}
            rig.port.write(UInt8(0x2e), at: Reg.data)
            if rig.port.read(Reg.lsr) & 1 != 0 { break }
        }
        #expect(rounds == 16)
        #expect(rig.port.read(Reg.data) == 0x71)
    }

    @Test func `a console that polls to send is no guest that waits for input`() {
        let rig = SerialRig()
        #expect(rig.send("x") == 1)
        for _ in 0..<200 {
            // Linux's serial8250_console_write: one line of output.
            let ier = rig.port.read(Reg.ier)
            rig.port.write(UInt8(0), at: Reg.ier)
            for byte in "a line\r\n".utf8 {
                #expect(rig.port.read(Reg.lsr) & 0x61 == 0x60)
                rig.port.write(byte, at: Reg.data)
            }
            #expect(rig.port.read(Reg.lsr) & 0x61 == 0x60)
            rig.port.write(ier, at: Reg.ier)
        }
        for _ in 0..<1000 {  // early_serial_putc, and 8250_early's order
            #expect(rig.port.read(Reg.lsr) & 0x61 == 0x60)
            rig.port.write(UInt8(0x2e), at: Reg.data)
        }
    }

    @Test func `polls for room are not polls for input`() {
        let rig = SerialRig()
        #expect(rig.send("x") == 1)
        rig.output.setRoom(false)
        rig.port.write(UInt8(0), at: Reg.data)
        for _ in 0..<1000 {
            #expect(rig.port.read(Reg.lsr) & 0x61 == 0)
        }
    }

    @Test func `setting the port up ends the polling state`() {
        for register in [Reg.ier, Reg.fcr, Reg.lcr, Reg.mcr] {
            let rig = SerialRig()
            for _ in 0..<16 {
                _ = rig.port.read(Reg.lsr)
            }
            rig.port.write(UInt8(0), at: register)
            #expect(rig.send("x") == 1)
            #expect(rig.port.read(Reg.lsr) & 1 == 0)
        }
    }

    @Test(arguments: [0x83, 0x80] as [UInt8])
    func `a FIFO reset empties the FIFO, and the bytes come again when the guest is ready`(fifoControl: UInt8) {
        let rig = SerialRig(interrupts: 0x01)
        #expect(rig.send("abcdef") == 6)
        #expect(rig.port.read(Reg.data) == 0x61)
        rig.port.write(UInt8(0), at: Reg.ier)
        rig.port.write(fifoControl, at: Reg.fcr)
        #expect(rig.port.read(Reg.lsr) & 1 == 0)
        #expect(rig.send("g") == 1)
        rig.port.write(UInt8(0x81), at: Reg.fcr)
        rig.port.write(UInt8(1), at: Reg.ier)
        #expect(rig.drain() == Array("bcdefg".utf8))
    }

    @Test func `a FIFO reset while interrupts are on delivers again with a new edge`() {
        let rig = SerialRig(interrupts: 0x01)
        #expect(rig.send("ab") == 2)
        _ = rig.line.takeEdges()
        rig.port.write(UInt8(0x83), at: Reg.fcr)
        #expect(rig.line.takeEdges() == 1)
        #expect(rig.drain() == [0x61, 0x62])
    }

    @Test func `a FIFO reset discards what was looped back`() {
        let rig = SerialRig(interrupts: 0x01)
        #expect(rig.send("a") == 1)
        rig.port.write(UInt8(0x1b), at: Reg.mcr)
        rig.port.write(UInt8(0x7a), at: Reg.data)
        rig.port.write(UInt8(0x83), at: Reg.fcr)
        #expect(rig.port.read(Reg.lsr) & 1 == 0)
        rig.port.write(UInt8(0x0b), at: Reg.mcr)
        #expect(rig.drain() == [0x61])
    }

    @Test func `input waits while the port is in loopback`() {
        let rig = SerialRig(interrupts: 0x01)
        rig.port.write(UInt8(0x1b), at: Reg.mcr)
        #expect(rig.send("a") == 1)
        #expect(rig.port.read(Reg.lsr) & 1 == 0)
        rig.port.write(UInt8(0x0b), at: Reg.mcr)
        #expect(rig.drain() == [0x61])
    }

    @Test func `a byte that an overrun in loopback displaces comes again`() {
        let rig = SerialRig(fifoControl: 0, interrupts: 0x01)
        #expect(rig.send("ab") == 2)
        rig.port.write(UInt8(0x1b), at: Reg.mcr)
        rig.port.write(UInt8(0x7a), at: Reg.data)
        #expect(rig.drain() == [0x7a])
        rig.port.write(UInt8(0x0b), at: Reg.mcr)
        #expect(rig.drain() == Array("ab".utf8))
    }

    @Test func `the host is called once when half of what it sent is read`() {
        let rig = SerialRig(fifoControl: 0x01, interrupts: 0x01)
        #expect(rig.send([UInt8](repeating: 7, count: 20)) == 16)
        for _ in 0..<7 {
            _ = rig.port.read(Reg.data)
        }
        #expect(rig.input.takeCalls() == 0)
        for _ in 0..<9 {
            _ = rig.port.read(Reg.data)
        }
        #expect(rig.input.takeCalls() == 1)
        #expect(rig.send([1, 2, 3, 4]) == 4)
    }

    @Test func `a host without more input is not called`() {
        let rig = SerialRig(fifoControl: 0x01, interrupts: 0x01)
        #expect(rig.send([1, 2, 3]) == 3)
        #expect(rig.drain() == [1, 2, 3])
        #expect(rig.input.takeCalls() == 0)
    }

    // MARK: - Snapshots

    @Test func `a snapshot keeps both sides of the conversation`() {
        let rig = SerialRig(interrupts: 0x03)
        #expect(rig.send("abc") == 3)
        #expect(rig.port.receiveBreak())
        rig.output.setRoom(false)
        rig.port.write(UInt8(0x41), at: Reg.data)
        let state = rig.port.state
        let copy = SerialRig(state)
        #expect(copy.port.state == state)
        copy.port.resume()
        #expect(copy.line.takeEdges() == 1)
        #expect(copy.port.read(Reg.lsr) & 0x60 == 0x60)
        #expect((0..<4).map { _ in copy.port.read(Reg.data) } == [0x61, 0x62, 0x63, 0])
    }

    @Test func `a state with too much of everything is cut down`() {
        var state = SerialPortState()
        state.interruptEnable = 0xff
        state.modemControl = 0xff
        state.receiverFIFO = [ReceivedCharacter](repeating: ReceivedCharacter(byte: 1), count: 100)
        state.heldInput = state.receiverFIFO
        state.idlePollCount = 255
        let rig = SerialRig(state)
        #expect(rig.port.state.receiverFIFO.count == 16)
        #expect(rig.port.state.heldInput.isEmpty)
        #expect(rig.port.read(Reg.mcr) == 0x1f)
        #expect(rig.port.read(Reg.ier) == 0x0f)
    }
}
