// SPDX-License-Identifier: Apache-2.0

import Devices
import Synchronization
import TestSupport

/// Bit and register names as Linux's `serial_reg.h` has them.
enum Reg {
    static let data: UInt64 = 0
    static let ier: UInt64 = 1
    static let iir: UInt64 = 2
    static let fcr: UInt64 = 2
    static let lcr: UInt64 = 3
    static let mcr: UInt64 = 4
    static let lsr: UInt64 = 5
    static let msr: UInt64 = 6
    static let scr: UInt64 = 7
}

/// Counts how often the port called for input.
final class RecordingSerialInput: SerialInput {
    private let calls = Atomic<Int>(0)
    func serialPortIsReady() { calls.wrappingAdd(1, ordering: .relaxed) }
    func takeCalls() -> Int { calls.exchange(0, ordering: .relaxed) }
}

/// A serial port with its surroundings.
struct SerialRig {
    let line = RecordingInterruptLine()
    let output = RecordingSerialOutput()
    let input = RecordingSerialInput()
    let faults = GuestFaultLog(device: "serial port")
    let port: SerialPort

    init(_ state: SerialPortState = SerialPortState()) {
        port = SerialPort(state: state, interrupt: line, output: output, input: input, faults: faults)
    }

    /// FIFOs on with the trigger level of 8, OUT2, DTR, RTS, and the given interrupts: what a driver sets up.
    init(fifoControl: UInt8 = 0x81, interrupts: UInt8) {
        self.init()
        port.write(fifoControl, at: Reg.fcr)
        port.write(UInt8(0x0b), at: Reg.mcr)
        port.write(interrupts, at: Reg.ier)
        _ = line.takeEdges()
    }

    func send(_ bytes: [UInt8]) -> Int { port.receive(bytes.span) }

    func send(_ text: String) -> Int { send(Array(text.utf8)) }

    /// Reads RBR while LSR shows data, as a driver does.
    func drain() -> [UInt8] {
        var bytes: [UInt8] = []
        while port.read(Reg.lsr) & 1 != 0 {
            bytes.append(port.read(Reg.data))
        }
        return bytes
    }
}
