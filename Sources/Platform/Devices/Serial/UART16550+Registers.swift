// SPDX-License-Identifier: Apache-2.0

extension UART16550 {
    // MARK: - Reads

    /// Answers a guest read.
    mutating func read(_ register: SerialRegister) -> UInt8 {
        lastAccessWasTransmit = false
        if register != .lineStatus { idlePollCount = 0 }
        switch register {
        case .data:
            return lineControl.contains(.divisorLatchAccess) ? UInt8(truncatingIfNeeded: divisor) : readReceiverBuffer()
        case .interruptEnable:
            return lineControl.contains(.divisorLatchAccess) ? UInt8(divisor >> 8) : interruptEnable.rawValue
        case .interruptIdentification:
            return readInterruptIdentification()
        case .lineControl:
            return lineControl.rawValue
        case .modemControl:
            return modemControl.rawValue
        case .lineStatus:
            return readLineStatus()
        case .modemStatus:
            defer {
                modemDeltas = []
                updateInterrupt()
            }
            return visibleModemInputs.rawValue | modemDeltas.rawValue
        case .scratch:
            return scratch
        }
    }

    /// IIR read; takes back the transmitter's interrupt if, and only if, it is the one reported (PC16550D, table IV).
    private mutating func readInterruptIdentification() -> UInt8 {
        let pending = pendingInterrupt
        if pending == .transmitterEmpty {
            isTransmitterInterruptPending = false
            updateInterrupt()
        }
        return pending.rawValue | (hasFIFOs ? InterruptIdentification.fifosEnabled : 0)
    }

    // MARK: - Writes

    /// Takes a guest write.
    mutating func write(_ value: UInt8, to register: SerialRegister) -> Bool {
        let wasTransmit = lastAccessWasTransmit
        lastAccessWasTransmit = false
        switch register {
        case .data where lineControl.contains(.divisorLatchAccess):
            divisor = divisor & 0xff00 | UInt16(value)
        case .data:
            transmit(value, afterTransmit: wasTransmit)
        case .interruptEnable where lineControl.contains(.divisorLatchAccess):
            divisor = divisor & 0x00ff | UInt16(value) << 8
        case .interruptEnable:
            endPolling()
            writeInterruptEnable(InterruptEnable(rawValue: value).intersection(.implemented))
        case .interruptIdentification:
            endPolling()
            writeFIFOControl(FIFOControl(rawValue: value))
        case .lineControl:
            endPolling()
            writeLineControl(LineControl(rawValue: value))
        case .modemControl:
            endPolling()
            writeModemControl(ModemControl(rawValue: value).intersection(.implemented))
        case .scratch:
            scratch = value
        case .lineStatus, .modemStatus:  // PC16550D, 8.4: writing is for factory testing only
            return false
        }
        return true
    }

    /// A guest that sets up the UART no longer counts as one that polls it for input.
    private mutating func endPolling() {
        idlePollCount = 0
        isPolledReceiver = false
    }

    private mutating func transmit(_ value: UInt8, afterTransmit: Bool) {
        idlePollCount = idlePollCount > 0 ? idlePollCount - 1 : 0
        lastAccessWasTransmit = true
        isTransmitterInterruptPending = false
        // INTR falls until the byte has left. While the guest fills the FIFO it does so for the first byte only: one
        // edge per FIFO, as in hardware, and not one per byte.
        if !afterTransmit { updateInterrupt() }
        if isLoopback {
            loopBack(value)
        } else {
            effects.transmit = value
            effects.expectsRoom = isTransmitterReady
            isTransmitterInterruptPending = isTransmitterReady
            updateInterrupt()
        }
    }

    private mutating func writeInterruptEnable(_ new: InterruptEnable) {
        let enabled = new.subtracting(interruptEnable)
        interruptEnable = new
        if enabled.contains(.transmitterEmpty) && lineStatus.contains(.holdingRegisterEmpty) {
            isTransmitterInterruptPending = true
        }
        if enabled.contains(.receivedData) {
            feed()
            fallSilent()
        }
        updateInterrupt()
    }

    /// FCR write (PC16550D, 8.5).
    private mutating func writeFIFOControl(_ value: FIFOControl) {
        let isEnabled = value.contains(.enable)
        let isReset = isEnabled != hasFIFOs || (isEnabled && value.contains(.resetReceiver))
        // Bit 0 must be 1 for the other bits to be programmed.
        if isEnabled {
            fifoControl = value.intersection(.stored)
        } else {
            fifoControl.remove(.enable)
        }
        if isReset {
            resetReceiver()
            updateInterrupt()
        }
        feed()
        fallSilent()
        updateInterrupt()
    }

    private mutating func writeLineControl(_ new: LineControl) {
        if new.contains(.setBreak) != lineControl.contains(.setBreak) {
            effects.lineBreak = new.contains(.setBreak)
        }
        lineControl = new
    }

    private mutating func writeModemControl(_ new: ModemControl) {
        let inputs = visibleModemInputs
        let wasEmpty = lineStatus.contains(.holdingRegisterEmpty)
        modemControl = new
        noteModemChange(from: inputs)
        // In loopback the transmitter does not depend on the output.
        let isEmpty = lineStatus.contains(.holdingRegisterEmpty)
        if isEmpty != wasEmpty { isTransmitterInterruptPending = isEmpty }
        feed()
        updateInterrupt()
    }

    // MARK: - From the output

    /// Records that the output took a byte, or has room again.
    ///
    /// - Parameters:
    ///   - hasRoom: Whether the output takes more.
    ///   - wrote: Whether a byte has just left.
    mutating func settleTransmitter(hasRoom: Bool, wrote: Bool) {
        let becameEmpty = hasRoom && (wrote || !isTransmitterReady)
        isTransmitterReady = hasRoom
        if becameEmpty {
            isTransmitterInterruptPending = true
        } else if !hasRoom {
            isTransmitterInterruptPending = false
        }
        updateInterrupt()
    }

    /// The host drives the modem lines.
    mutating func setModemInputs(_ inputs: ModemInputs) {
        let old = visibleModemInputs
        modemInputs = inputs
        noteModemChange(from: old)
        updateInterrupt()
    }
}
