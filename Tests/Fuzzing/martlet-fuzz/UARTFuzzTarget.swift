// SPDX-License-Identifier: Apache-2.0

import Devices
import Logging
import TestSupport

/// The input is a sequence of what guest and host do to a serial port.
///
/// Each step begins with a byte: bits 0 to 2 are the register, bit 7 says that it is the host's turn, and bits 3 to 5
/// what is done.
enum UARTFuzzTarget {
    static func run(_ input: inout FuzzInput) {
        let (line, output) = (RecordingInterruptLine(), RecordingSerialOutput())
        let faults = GuestFaultLog(
            device: "serial port",
            logger: Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() }
        )
        var port = SerialPort(interrupt: line, output: output, faults: faults)
        while !input.isEmpty {
            let step = input.byte()
            guard step & 0x80 != 0 else {
                port.access(step >> 3, at: UInt64(step & 7), &input)
                continue
            }
            switch step >> 3 & 7 {
            case 0, 1:
                let bytes = [UInt8](repeating: input.byte(), count: Int(step & 0xf) * 3)
                precondition(port.receive(bytes.span) <= 16)
            case 2: _ = port.receiveBreak()
            case 3: port.setModemInputs(ModemInputs(rawValue: input.byte()))
            case 4:
                output.setRoom(step & 1 != 0)
                port.outputBecameReady()
            case 5: port.resume()
            default:
                let state = port.state
                port = SerialPort(state: state, interrupt: line, output: output, faults: faults)
                precondition(port.state == state)
            }
            check(port.state)
        }
        check(port.state)
    }

    private static func check(_ state: SerialPortState) {
        precondition(state.receiverFIFO.count <= (state.fifoControl & 1 != 0 ? 16 : 1))
        precondition(state.heldInput.count + state.receiverFIFO.count(where: { !$0.isLoopedBack }) <= 16)
        precondition(!state.heldInput.contains { $0.isLoopedBack })
    }
}
