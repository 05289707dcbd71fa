// SPDX-License-Identifier: Apache-2.0

/// The registers of a 16550A by their offset (TI PC16550D datasheet, table II).
enum SerialRegister: UInt64 {
    /// RBR when read, THR when written, DLL while DLAB is set.
    case data = 0
    /// IER, or DLM while DLAB is set.
    case interruptEnable = 1
    /// IIR when read, FCR when written.
    case interruptIdentification = 2
    case lineControl = 3
    case modemControl = 4
    case lineStatus = 5
    case modemStatus = 6
    case scratch = 7
}

/// IER (PC16550D, 8.7).
struct InterruptEnable: OptionSet {
    let rawValue: UInt8
    /// ERBFI: received data available, and the character timeout.
    static let receivedData = Self(rawValue: 1 << 0)
    /// ETBEI: transmitter holding register empty.
    static let transmitterEmpty = Self(rawValue: 1 << 1)
    /// ELSI: receiver line status.
    static let lineStatus = Self(rawValue: 1 << 2)
    /// EDSSI: modem status.
    static let modemStatus = Self(rawValue: 1 << 3)
    /// Bits 7:4 are always 0.
    static let implemented = Self(rawValue: 0x0f)
}

/// IIR bits 3:0 (PC16550D, table IV), highest priority first.
enum InterruptIdentification: UInt8 {
    case lineStatus = 0b0110
    case receivedData = 0b0100
    case characterTimeout = 0b1100
    case transmitterEmpty = 0b0010
    case modemStatus = 0b0000
    /// No interrupt is pending.
    case none = 0b0001

    /// IIR bits 7:6 while the FIFOs are enabled.
    static let fifosEnabled: UInt8 = 0b1100_0000
}

/// FCR (PC16550D, 8.5).
struct FIFOControl: OptionSet {
    let rawValue: UInt8
    static let enable = Self(rawValue: 1 << 0)
    static let resetReceiver = Self(rawValue: 1 << 1)
    static let resetTransmitter = Self(rawValue: 1 << 2)
    /// The bits of a written value that the UART keeps.
    static let stored = Self(rawValue: 0b1100_0001)

    /// The number of received bytes that raise the received-data interrupt: bits 7:6.
    var triggerLevel: Int {
        switch rawValue >> 6 {
        case 0: 1
        case 1: 4
        case 2: 8
        default: 14
        }
    }
}

/// LCR (PC16550D, 8.1).
///
/// The frame format is kept, not emulated: bytes cross whole whatever it says.
struct LineControl: OptionSet {
    let rawValue: UInt8
    /// The output pin is held in the spacing state: the guest sends a break.
    static let setBreak = Self(rawValue: 1 << 6)
    /// DLAB: offsets 0 and 1 are the divisor latch.
    static let divisorLatchAccess = Self(rawValue: 1 << 7)
}

/// MCR (PC16550D, 8.8).
struct ModemControl: OptionSet {
    let rawValue: UInt8
    static let dataTerminalReady = Self(rawValue: 1 << 0)
    static let requestToSend = Self(rawValue: 1 << 1)
    static let out1 = Self(rawValue: 1 << 2)
    /// On a PC this pin connects INTR to the interrupt controller.
    static let out2 = Self(rawValue: 1 << 3)
    static let loopback = Self(rawValue: 1 << 4)
    /// Bits 7:5 are always 0.
    static let implemented = Self(rawValue: 0x1f)
}

/// LSR (PC16550D, 8.4).
struct LineStatus: OptionSet {
    let rawValue: UInt8
    static let dataReady = Self(rawValue: 1 << 0)
    static let overrunError = Self(rawValue: 1 << 1)
    static let parityError = Self(rawValue: 1 << 2)
    static let framingError = Self(rawValue: 1 << 3)
    static let breakInterrupt = Self(rawValue: 1 << 4)
    /// THRE.
    static let holdingRegisterEmpty = Self(rawValue: 1 << 5)
    /// TEMT.
    static let transmitterEmpty = Self(rawValue: 1 << 6)
    static let errorInFIFO = Self(rawValue: 1 << 7)

    /// The errors that belong to one received character.
    static let characterErrors: Self = [.parityError, .framingError, .breakInterrupt]
}

/// MSR (PC16550D, 8.9).
struct ModemStatus: OptionSet {
    let rawValue: UInt8
    static let deltaClearToSend = Self(rawValue: 1 << 0)
    static let deltaDataSetReady = Self(rawValue: 1 << 1)
    /// TERI: the ring indicator went from on to off.
    static let trailingEdgeRingIndicator = Self(rawValue: 1 << 2)
    static let deltaDataCarrierDetect = Self(rawValue: 1 << 3)
    static let deltas = Self(rawValue: 0x0f)
}

/// The four modem lines that a UART receives, as bits 7:4 of its MSR.
package struct ModemInputs: OptionSet, Codable, Hashable, Sendable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue & 0xf0 }

    package static let clearToSend = Self(rawValue: 1 << 4)
    package static let dataSetReady = Self(rawValue: 1 << 5)
    package static let ringIndicator = Self(rawValue: 1 << 6)
    package static let dataCarrierDetect = Self(rawValue: 1 << 7)

    /// The status of a connected terminal that is ready.
    package static let connected: Self = [.clearToSend, .dataSetReady, .dataCarrierDetect]
}
