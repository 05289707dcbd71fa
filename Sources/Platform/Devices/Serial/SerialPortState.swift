// SPDX-License-Identifier: Apache-2.0

/// Everything that must survive a snapshot of a `SerialPort`; the default is the state after a hardware reset.
///
/// A state from outside is taken with care: reserved bits are dropped and what does not fit is cut off.
package struct SerialPortState: Codable, Hashable, Sendable {
    package var interruptEnable: UInt8 = 0
    /// FCR bits 7:6 and 0.
    package var fifoControl: UInt8 = 0
    package var lineControl: UInt8 = 0
    package var modemControl: UInt8 = 0
    package var scratch: UInt8 = 0
    /// 12 divides the PC's 1.8432 MHz to 9600 baud.
    package var divisor: UInt16 = 12
    /// The modem lines as the host drives them.
    package var modemInputs: ModemInputs = .connected
    /// MSR bits 3:0.
    package var modemDeltas: UInt8 = 0
    /// LSR bits 4:1 that stay until LSR is read, apart from those in the FIFO.
    package var latchedLineErrors: UInt8 = 0
    /// The value of RBR when no character is there.
    package var lastReceived: UInt8 = 0
    /// The receiver FIFO, or in 16450 mode the one RBR.
    package var receiverFIFO: [ReceivedCharacter] = []
    /// Characters that the host has handed over and the guest cannot see yet.
    package var heldInput: [ReceivedCharacter] = []
    package var isTransmitterReady = true
    package var isTransmitterInterruptPending = false
    package var isTimeoutPending = false
    /// The level of INTR after its OUT2 gate.
    package var interruptLevel = false
    /// LSR polls that no transmission explains; see "When the guest gets its input" at `SerialPort`.
    package var idlePollCount: UInt8 = 0
    package var isPolledReceiver = false
    /// Indicates whether the guest's last access wrote THR.
    package var lastAccessWasTransmit = false

    package init() {}
}
