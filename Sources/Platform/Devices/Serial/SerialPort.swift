// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// A serial port of a PC: a 16550A UART (TI PC16550D datasheet) at eight ports.
///
/// Everything is emulated but time: a byte written to THR has left, baud rate and frame format are kept and not emulated.
///
/// ## Sending
/// A byte goes to `SerialOutput` before the guest's next instruction, and mostly with one lock of the port: the state after a
/// byte that left is set with the write, and corrected only where the output reports that it has no room. While the output has
/// no room, LSR shows THRE and TEMT as 0 and no transmitter interrupt is pending, so a driver waits as for a slow line. A byte that is written anyway
/// still goes to the output.
///
/// ## Delivery of input
/// Bytes from a pipe arrive before the guest has a driver, and drivers empty the FIFO more than once while they
/// start: on real hardware input that arrives then is lost. Here no byte that the host has sent is lost unless the guest
/// reads it:
///
/// 1. The port takes up to 16 bytes from the host and holds them. They enter the receiver while the guest *is ready*:
///    while IER.ERBFI is set, or once it polls for input, which is `UART16550.pollingReceiverThreshold` (16) reads of
///    LSR with THRE set that are not made up for by writes of THR, with no access to another register between them.
///    Any write of IER, FCR, LCR or MCR ends the polling state.
/// 2. A FIFO reset (FCR bit 1, or a change of bit 0) empties the receiver, but bytes of the host that the guest has not
///    read go back to the held ones and arrive anew when rule 1 allows it. The sender can be imagined to have
///    been held back by flow control. Looped-back bytes are discarded, as in hardware.
///
/// Why 16 polls: Linux's drivers and early consoles read LSR about once per byte sent; its 8250 driver reads it five
/// times while it opens a port, between accesses to other registers. Its open and close sequences reset the FIFO
/// *before* the blind RBR read that drains it and keep IER at 0 meanwhile, so that read finds nothing to lose; and
/// `set_termios` sets ERBFI just before it enables the FIFO, which rule 2 covers. A guest that discards by FIFO reset
/// with ERBFI clear sees LSR.DR fall, as drivers that do so check.
///
/// ## Character timeout
/// It follows as soon as the host has nothing more to send: at the end of `receive(_:)`. If the guest then reads only a
/// part, the host is called through `SerialInput` and its answer, which may be empty, stands for four character times.
///
/// ## Locks
/// One lock, never held while the interrupt line, the output or the input is called. Bytes of one vCPU, and of vCPUs
/// that a guest lock orders, leave in order because a write returns only after the output has taken the byte.
package final class SerialPort: ByteWideDevice {
    private let uart: Mutex<UART16550>
    private let interrupt: any InterruptLine
    private let output: any SerialOutput
    private let input: (any SerialInput)?
    private let faults: GuestFaultLog

    /// - Parameters:
    ///   - state: The initial state; after a snapshot call `resume()` once the machine can take interrupts.
    ///   - interrupt: Triggered on each rising edge of INTR after its OUT2 gate.
    ///   - output: The receiver of the guest's output.
    ///   - input: Called when the port takes more input; without one the line always counts as silent.
    ///   - faults: The log of guest errors.
    package init(
        state: SerialPortState = SerialPortState(),
        interrupt: any InterruptLine,
        output: any SerialOutput,
        input: (any SerialInput)? = nil,
        faults: GuestFaultLog = GuestFaultLog(device: "serial port")
    ) {
        self.uart = Mutex(UART16550(state))
        self.interrupt = interrupt
        self.output = output
        self.input = input
        self.faults = faults
    }

    package var state: SerialPortState { uart.withLock { $0.state } }

    /// Restores a state, once the machine can take interrupts.
    package func restore(_ state: SerialPortState) {
        uart.withLock { $0 = UART16550(state) }
        resume()
    }

    // MARK: - The guest

    package func readByte(at offset: UInt64) -> UInt8 {
        guard let register = SerialRegister(rawValue: offset) else {
            faults.record("read at offset \(offset)")
            return 0xff
        }
        return operate { $0.read(register) }
    }

    package func writeByte(_ value: UInt8, at offset: UInt64) {
        guard let register = SerialRegister(rawValue: offset) else {
            faults.record("write at offset \(offset)")
            return
        }
        if !operate({ $0.write(value, to: register) }) {
            faults.record("write of 0x\(String(value, radix: 16)) to a read-only register at offset \(offset)")
        }
    }

    // MARK: - The host

    /// Sends bytes to the guest.
    ///
    /// The caller keeps the rest and offers it again when `SerialInput.serialPortIsReady()` is called. A call
    /// without bytes says that the line is silent.
    ///
    /// - Parameter bytes: The bytes, first byte first.
    /// - Returns: The number of bytes taken, from the beginning; at most 16.
    package func receive(_ bytes: Span<UInt8>) -> Int {
        operate { $0.receive(bytes) }
    }

    /// Sends a break (Magic SysRq on a Linux console) after the bytes sent before.
    ///
    /// - Returns: False if there is no room; try again when the guest has read.
    package func receiveBreak() -> Bool { receive(.lineBreak) }

    /// Sends one character together with its line errors.
    ///
    /// - Returns: False if there is no room; try again when the guest has read.
    package func receive(_ character: ReceivedCharacter) -> Bool {
        operate { $0.receive(character) }
    }

    /// Drives the modem lines; they start as `ModemInputs.connected`.
    package func setModemInputs(_ inputs: ModemInputs) {
        operate { $0.setModemInputs(inputs) }
    }

    /// Indicates whether the guest holds DTR active: its driver has the port open.
    ///
    /// False in loopback, like the pin.
    package var isDataTerminalReady: Bool {
        uart.withLock { $0.modemControl.contains(.dataTerminalReady) && !$0.isLoopback }
    }

    /// Checks whether the output has room again and notifies the guest; harmless at any time, from any thread.
    package func outputBecameReady() {
        settleTransmitter(hasRoom: output.hasRoom, wrote: false)
    }

    /// Catches up after `init(state:…)` from a snapshot: the output may have gained room, and
    /// characters may wait for their timeout.
    package func resume() {
        outputBecameReady()
        let nothing: [0 of UInt8] = []
        _ = receive(nothing.span)
        if uart.withLock({ $0.interruptLevel }) { interrupt.trigger() }
    }

    // MARK: - Outside the lock

    /// Runs one operation under the lock, then performs its effects.
    private func operate<Result: Sendable>(_ operation: (inout UART16550) -> Result) -> Result {
        let (result, effects) = uart.withLock { uart in
            let result = operation(&uart)
            return (result, uart.takeEffects())
        }
        perform(effects)
        return result
    }

    private func perform(_ effects: UART16550.Effects) {
        var isTriggered = effects.interrupt
        if let lineBreak = effects.lineBreak { output.setBreak(lineBreak) }
        if let byte = effects.transmit {
            let hasRoom = output.write(byte)
            if hasRoom != effects.expectsRoom, !settleTransmitter(hasRoom: hasRoom, wrote: true) { isTriggered = false }
        }
        if isTriggered { interrupt.trigger() }
        guard effects.inputReady else { return }
        if let input {
            input.serialPortIsReady()
        } else {
            let nothing: [0 of UInt8] = []
            _ = receive(nothing.span)
        }
    }

    /// Takes over the output's answer about its room.
    ///
    /// "No room" is stored first and asked again after: if the output became ready in between, its call may have come
    /// before the store and been overwritten; if it becomes ready later, its call comes later. Either way the port
    /// never waits for a call that has already been made.
    ///
    /// - Returns: Whether INTR is high after the first check.
    @discardableResult
    private func settleTransmitter(hasRoom: Bool, wrote: Bool) -> Bool {
        let isHigh = operate { uart in
            uart.settleTransmitter(hasRoom: hasRoom, wrote: wrote)
            return uart.interruptLevel
        }
        if !hasRoom && output.hasRoom {
            operate { $0.settleTransmitter(hasRoom: true, wrote: false) }
        }
        return isHigh
    }
}
