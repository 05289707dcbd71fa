// SPDX-License-Identifier: Apache-2.0

import Devices
import TestSupport
import Testing

/// A controller with the two ports of a PC.
private struct KeyboardRig {
    let line = RecordingInterruptLine()
    let requests = RecordingGuestRequests()
    let faults = GuestFaultLog(device: "i8042")
    let controller: I8042
    let data: any BusDevice
    let command: any BusDevice

    init(_ state: I8042State = I8042State()) {
        controller = I8042(state: state, interrupt: line, faults: faults, onRequest: requests.handler)
        data = controller.dataPort
        command = controller.commandPort
    }

    var status: UInt8 { command.read(UInt8.self, at: 0) }
    func issue(_ value: UInt8) { command.write(value, at: 0) }
    func send(_ value: UInt8) { data.write(value, at: 0) }

    /// A controller command with one answer, as Linux's `i8042_command` does it; nil if there is none.
    func ask(_ value: UInt8, with parameter: UInt8? = nil) -> UInt8? {
        #expect(status & 0x02 == 0)
        issue(value)
        if let parameter { send(parameter) }
        return status & 1 != 0 ? data.read(UInt8.self, at: 0) : nil
    }

    /// All bytes that the keyboard has to send.
    func drain() -> [UInt8] {
        var bytes: [UInt8] = []
        while status & 1 != 0 {
            bytes.append(data.read(UInt8.self, at: 0))
        }
        return bytes
    }

    /// A keyboard command, and what comes back.
    func type(_ bytes: UInt8...) -> [UInt8] {
        bytes.flatMap { byte in
            send(byte)
            return drain()
        }
    }
}

@Suite struct I8042Tests {
    @Test func `the idle controller is free, unlocked and has nothing to say`() {
        let rig = KeyboardRig()
        #expect(rig.status == 0x14)
        #expect(rig.data.read(UInt8.self, at: 0) == 0)
    }

    // MARK: - Controller

    @Test func `Linux's initialisation finds a controller, a keyboard port and no mouse`() {
        let rig = KeyboardRig()
        #expect(rig.ask(0x20) == 0x65)
        #expect(rig.ask(0x20) == 0x65)
        #expect(rig.ask(0xaa) == 0x55)
        #expect(rig.status & 0x10 != 0)  // else Linux warns of a locked keyboard
        #expect(rig.ask(0x60, with: 0x74) == nil)
        // i8042_check_aux: the loop command answers without the AUX flag, the test with an error.
        rig.issue(0xd3)
        rig.send(0x5a)
        #expect(rig.status & 0x21 == 0x01)
        #expect(rig.ask(0xa9).map { (1...3).contains($0) } == true)
        #expect(rig.ask(0x60, with: 0x65) == nil)
        #expect(rig.ask(0xab) == 0x00)
    }

    @Test func `the auxiliary port stays disabled whatever is tried`() {
        let rig = KeyboardRig()
        rig.issue(0xa8)
        #expect(rig.ask(0x60, with: 0x45) == nil)
        #expect(rig.ask(0x20) == 0x65)
        rig.issue(0xd4)
        rig.send(0xff)
        #expect(rig.status & 1 == 0)
    }

    @Test func `the controller's RAM can be read and written`() {
        let rig = KeyboardRig()
        for index in UInt8(1)..<32 {
            #expect(rig.ask(0x60 + index, with: index ^ 0xff) == nil)
        }
        for index in UInt8(1)..<32 {
            #expect(rig.ask(0x20 + index) == index ^ 0xff)
        }
    }

    @Test func `status bit 3 tells commands from data`() {
        let rig = KeyboardRig()
        rig.issue(0xae)
        #expect(rig.status & 0x08 != 0)
        rig.send(0xee)
        #expect(rig.status & 0x08 == 0)
    }

    @Test(arguments: UInt8(0xf0)...0xff)
    func `a pulse of bit 0 resets`(value: UInt8) {
        let rig = KeyboardRig()
        rig.issue(value)
        #expect(rig.requests.requests == (value & 1 == 0 ? [.reset] : []))
    }

    @Test func `the output port resets by bit 0 and keeps A20`() {
        let rig = KeyboardRig()
        #expect(rig.ask(0xd0) == 0x03)
        #expect(rig.ask(0xd1, with: 0x01) == nil)
        #expect(rig.ask(0xd0) == 0x01)
        #expect(rig.requests.requests.isEmpty)
        #expect(rig.ask(0xd1, with: 0x02) == nil)
        #expect(rig.requests.requests == [.reset])
        rig.issue(0xdd)
        #expect(rig.ask(0xd0) == 0x01)
        rig.issue(0xdf)
        #expect(rig.ask(0xd0) == 0x03)
    }

    @Test func `other commands answer as documented, unknown ones do not`() {
        let rig = KeyboardRig()
        #expect(rig.ask(0xc0) == 0x80)
        #expect(rig.ask(0xe0) == 0x00)
        #expect(rig.ask(0xd2, with: 0x77) == 0x77)
        #expect(rig.ask(0x00) == nil)
        #expect(rig.faults.count == 1)
    }

    @Test func `a wide access to a port of one byte sees all ones beyond it`() {
        #expect(KeyboardRig().command.read(UInt16.self, at: 0) == 0xff14)
    }

    // MARK: - Keyboard

    @Test func `reset, identity, echo and the rest answer as a keyboard does`() {
        var state = I8042State()
        state.memory[0] = 0x25  // no translation
        let rig = KeyboardRig(state)
        #expect(rig.type(0xff) == [0xfa, 0xaa])
        #expect(rig.type(0xf2) == [0xfa, 0xab, 0x83])
        #expect(rig.type(0xee) == [0xee])
        #expect(rig.type(0xf5) == [0xfa])
        #expect(rig.type(0xf4) == [0xfa])
        #expect(rig.type(0xed, 0x07) == [0xfa, 0xfa])
        #expect(rig.type(0xf3, 0x00) == [0xfa, 0xfa])
        #expect(rig.type(0xf0, 0x00) == [0xfa, 0xfa, 0x02])
        #expect(rig.type(0xf0, 0x03) == [0xfa, 0xfa])
        #expect(rig.type(0xf0, 0x00) == [0xfa, 0xfa, 0x03])
        #expect(rig.type(0xf0, 0x09) == [0xfa, 0xfe])
        #expect(rig.type(0xf6) == [0xfa])
        #expect(rig.type(0xfe) == [0xfa])
        #expect(rig.type(0x10) == [0xfe])
        #expect(rig.controller.state.keyboard.leds == 0)
    }

    @Test func `the lights of the keyboard are told each time that the guest sets them`() {
        let rig = KeyboardRig()
        #expect(rig.type(0xed, 0x02) == [0xfa, 0xfa])
        #expect(rig.type(0xed, 0x02) == [0xfa, 0xfa])
        // A command in the place of the parameter.
        #expect(rig.type(0xed, 0xee) == [0xfa, 0xee])
        #expect(rig.type(0xed, 0x03) == [0xfa, 0xfa])
        #expect(rig.controller.keyboardLights == 3)
        #expect(rig.requests.requests == [.keyboardLights(2), .keyboardLights(2), .keyboardLights(3)])
        rig.controller.turnOff(1)
        #expect(rig.controller.keyboardLights == 2)
        #expect(rig.requests.requests.count == 3)
    }

    @Test(
        arguments: [(1, [0xe0, 0x5f, 0xe0, 0xdf]), (2, [0xe0, 0x3f, 0xe0, 0xf0, 0x3f]), (3, [0x7f, 0xf0, 0x7f])]
            as [(UInt8, [UInt8])]
    )
    func `the sleep key goes down and up`(set: UInt8, codes: [UInt8]) {
        var state = I8042State()
        state.memory[0] = 0x01  // interrupts, no translation
        state.keyboard.scancodeSet = set
        let rig = KeyboardRig(state)
        #expect(rig.controller.pressSleep())
        #expect(rig.line.edgeCount == 1)
        #expect(rig.drain() == codes)
        #expect(rig.type(0xf5) == [0xfa])
        #expect(!rig.controller.pressSleep())
    }

    @Test func `an answer comes before keys, and no key while a command waits for its parameter`() {
        let rig = KeyboardRig()
        // Also before the byte of a key that is there and not read, one that is translated from two among them.
        for readCount in 0...3 {
            #expect(rig.controller.pressSleep())
            let codes: [UInt8] = [0xe0, 0x5f, 0xe0, 0xdf]
            for code in codes.prefix(readCount) { #expect(rig.data.read(UInt8.self, at: 0) == code) }
            rig.send(0xf4)
            #expect(rig.drain() == [0xfa] + codes.dropFirst(readCount))
        }
        rig.send(0xed)
        #expect(rig.drain() == [0xfa])
        #expect(rig.controller.pressSleep())
        #expect(rig.drain() == [])
        rig.send(0x02)
        #expect(rig.drain() == [0xfa, 0xe0, 0x5f, 0xe0, 0xdf])
    }

    @Test func `a command instead of a parameter is a command`() {
        let rig = KeyboardRig()
        #expect(rig.type(0xed, 0xee) == [0xfa, 0xee])
        #expect(rig.controller.state.keyboard.pendingCommand == nil)
    }

    @Test func `with translation the identity ends in 41h`() {
        #expect(KeyboardRig().type(0xf2) == [0xfa, 0xab, 0x41])
    }

    @Test func `every byte of an answer is an interrupt`() {
        let rig = KeyboardRig()
        rig.send(0xf2)
        for expected in [0xfa, 0xab, 0x41] as [UInt8] {
            #expect(rig.line.takeEdges() == 1)
            #expect(rig.data.read(UInt8.self, at: 0) == expected)
        }
        #expect(rig.line.takeEdges() == 0)
    }

    @Test func `without the interrupt bit the line is quiet until it is set`() {
        let rig = KeyboardRig()
        #expect(rig.ask(0x60, with: 0x64) == nil)
        rig.send(0xee)
        #expect(rig.line.takeEdges() == 0)
        rig.issue(0x60)
        rig.send(0x65)
        #expect(rig.line.takeEdges() == 1)
        #expect(rig.drain() == [0xee])
    }

    @Test func `a disabled keyboard keeps its bytes until it is enabled`() {
        let rig = KeyboardRig()
        rig.issue(0xad)
        #expect(rig.controller.pressCtrlAltDelete())
        #expect(rig.status & 1 == 0)
        rig.issue(0xae)
        #expect(rig.drain().first == 0x1d)
    }

    // MARK: - Ctrl-Alt-Delete

    @Test func `Ctrl-Alt-Delete arrives in set 1 with translation`() {
        let rig = KeyboardRig()
        #expect(rig.controller.pressCtrlAltDelete())
        #expect(rig.drain() == [0x1d, 0x38, 0xe0, 0x53, 0xe0, 0xd3, 0xb8, 0x9d])
        #expect(rig.line.edgeCount == 8)
    }

    @Test(
        arguments: [
            (1, [0x1d, 0x38, 0xe0, 0x53, 0xe0, 0xd3, 0xb8, 0x9d]),
            (2, [0x14, 0x11, 0xe0, 0x71, 0xe0, 0xf0, 0x71, 0xf0, 0x11, 0xf0, 0x14]),
            (3, [0x11, 0x19, 0x64, 0xf0, 0x64, 0xf0, 0x19, 0xf0, 0x11]),
        ] as [(UInt8, [UInt8])]
    )
    func `without translation it arrives in the keyboard's own set`(set: UInt8, codes: [UInt8]) {
        let rig = KeyboardRig()
        #expect(rig.ask(0x60, with: 0x25) == nil)
        #expect(rig.type(0xf0, set) == [0xfa, 0xfa])
        #expect(rig.controller.pressCtrlAltDelete())
        #expect(rig.drain() == codes)
    }

    @Test func `a sequence that does not fit whole is not sent at all`() {
        let rig = KeyboardRig()
        #expect(rig.controller.pressCtrlAltDelete())
        #expect(!rig.controller.pressCtrlAltDelete())
        #expect(rig.drain().count == 8)
        #expect(rig.controller.pressCtrlAltDelete())
    }

    @Test func `a keyboard that was switched off sends nothing`() {
        let rig = KeyboardRig()
        #expect(rig.type(0xf5) == [0xfa])
        #expect(!rig.controller.pressCtrlAltDelete())
    }

    @Test func `a snapshot in the middle of a sequence goes on with the next code`() {
        let rig = KeyboardRig()
        #expect(rig.controller.pressCtrlAltDelete())
        #expect(rig.data.read(UInt8.self, at: 0) == 0x1d)
        let copy = KeyboardRig(rig.controller.state)
        #expect(copy.controller.state == rig.controller.state)
        #expect(copy.drain() == [0x38, 0xe0, 0x53, 0xe0, 0xd3, 0xb8, 0x9d])
    }
}
