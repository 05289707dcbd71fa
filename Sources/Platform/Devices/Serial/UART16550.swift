// SPDX-License-Identifier: Apache-2.0

/// The logic of a 16550A as a plain value: no lock, no thread, nothing outside itself.
///
/// Each operation records its `effects` outside the device; the owner takes them with `takeEffects()`.
struct UART16550 {
    /// The effects of one operation outside the device.
    struct Effects {
        /// INTR rose.
        var interrupt = false
        /// The host may send, or must report that the line is silent.
        var inputReady = false
        /// THR was written: this byte leaves through the output pin.
        var transmit: UInt8?
        /// Indicates whether the state assumes that the byte left at once: right unless the output reports otherwise.
        var expectsRoom = false
        /// The break condition on the output pin changed.
        var lineBreak: Bool?
    }

    /// The number of LSR polls without a transmission that makes a guest a polling receiver.
    static let pollingReceiverThreshold: UInt8 = 16

    var interruptEnable: InterruptEnable
    var fifoControl: FIFOControl
    var lineControl: LineControl
    var modemControl: ModemControl
    var scratch: UInt8
    var divisor: UInt16
    var modemInputs: ModemInputs
    var modemDeltas: ModemStatus
    var latchedErrors: LineStatus
    var lastReceived: UInt8
    var fifo: CharacterRing
    var held: CharacterRing
    var isTransmitterReady: Bool
    var isTransmitterInterruptPending: Bool
    var isTimeoutPending: Bool
    var interruptLevel: Bool
    var idlePollCount: UInt8
    var isPolledReceiver: Bool
    var lastAccessWasTransmit: Bool
    /// The host has more input than was taken.
    ///
    /// Not part of the state: `SerialPort.resume()` restores it.
    var isHostWaiting = false
    /// The host was called and has not answered yet.
    ///
    /// Not part of the state either.
    var isHostCalled = false
    var effects = Effects()

    init(_ state: SerialPortState) {
        interruptEnable = InterruptEnable(rawValue: state.interruptEnable).intersection(.implemented)
        fifoControl = FIFOControl(rawValue: state.fifoControl).intersection(.stored)
        lineControl = LineControl(rawValue: state.lineControl)
        modemControl = ModemControl(rawValue: state.modemControl).intersection(.implemented)
        scratch = state.scratch
        divisor = state.divisor
        modemInputs = state.modemInputs
        modemDeltas = ModemStatus(rawValue: state.modemDeltas).intersection(.deltas)
        latchedErrors = LineStatus(rawValue: state.latchedLineErrors)
            .intersection(LineStatus.characterErrors.union(.overrunError))
        lastReceived = state.lastReceived
        fifo = CharacterRing(state.receiverFIFO)
        held = CharacterRing(state.heldInput.prefix(CharacterRing.capacity - fifo.hostCharacterCount))
        isTransmitterReady = state.isTransmitterReady
        isTransmitterInterruptPending = state.isTransmitterInterruptPending
        isTimeoutPending = state.isTimeoutPending
        interruptLevel = state.interruptLevel
        idlePollCount = min(state.idlePollCount, Self.pollingReceiverThreshold)
        isPolledReceiver = state.isPolledReceiver
        lastAccessWasTransmit = state.lastAccessWasTransmit
    }

    var state: SerialPortState {
        var state = SerialPortState()
        state.interruptEnable = interruptEnable.rawValue
        state.fifoControl = fifoControl.rawValue
        state.lineControl = lineControl.rawValue
        state.modemControl = modemControl.rawValue
        state.scratch = scratch
        state.divisor = divisor
        state.modemInputs = modemInputs
        state.modemDeltas = modemDeltas.rawValue
        state.latchedLineErrors = latchedErrors.rawValue
        state.lastReceived = lastReceived
        state.receiverFIFO = fifo.characters
        state.heldInput = held.characters
        state.isTransmitterReady = isTransmitterReady
        state.isTransmitterInterruptPending = isTransmitterInterruptPending
        state.isTimeoutPending = isTimeoutPending
        state.interruptLevel = interruptLevel
        state.idlePollCount = idlePollCount
        state.isPolledReceiver = isPolledReceiver
        state.lastAccessWasTransmit = lastAccessWasTransmit
        return state
    }

    mutating func takeEffects() -> Effects {
        defer { effects = Effects() }
        return effects
    }

    // MARK: - Derived signals

    var isLoopback: Bool { modemControl.contains(.loopback) }
    var hasFIFOs: Bool { fifoControl.contains(.enable) }

    /// The number of characters that the guest can see at once.
    var receiverCapacity: Int { hasFIFOs ? CharacterRing.capacity : 1 }

    /// The modem inputs as MSR bits 7:4; in loopback they are the four outputs (PC16550D, 8.8, bit 4).
    var visibleModemInputs: ModemInputs {
        guard isLoopback else { return modemInputs }
        var inputs: ModemInputs = []
        if modemControl.contains(.requestToSend) { inputs.insert(.clearToSend) }
        if modemControl.contains(.dataTerminalReady) { inputs.insert(.dataSetReady) }
        if modemControl.contains(.out1) { inputs.insert(.ringIndicator) }
        if modemControl.contains(.out2) { inputs.insert(.dataCarrierDetect) }
        return inputs
    }

    /// OE and the errors of the character at the top of the FIFO.
    var visibleErrors: LineStatus { latchedErrors.union(fifo.first?.lineErrors ?? []) }

    var lineStatus: LineStatus {
        var status = visibleErrors
        if !fifo.isEmpty { status.insert(.dataReady) }
        if isTransmitterReady || isLoopback {
            status.formUnion([.holdingRegisterEmpty, .transmitterEmpty])
        }
        if hasFIFOs && !fifo.isEmpty && fifo.contains(where: { $0.errors != 0 }) { status.insert(.errorInFIFO) }
        return status
    }

    /// The pending and enabled interrupt of the highest priority (PC16550D, table IV).
    var pendingInterrupt: InterruptIdentification {
        if interruptEnable.contains(.lineStatus) && !visibleErrors.isEmpty { return .lineStatus }
        if interruptEnable.contains(.receivedData) {
            if fifo.count >= (hasFIFOs ? fifoControl.triggerLevel : 1) { return .receivedData }
            if isTimeoutPending { return .characterTimeout }
        }
        if interruptEnable.contains(.transmitterEmpty) && isTransmitterInterruptPending { return .transmitterEmpty }
        if interruptEnable.contains(.modemStatus) && !modemDeltas.isEmpty { return .modemStatus }
        return .none
    }

    /// Follows INTR, which on a PC reaches the interrupt controller only while the OUT2 pin is active; loopback makes
    /// the pin inactive.
    mutating func updateInterrupt() {
        let level = pendingInterrupt != .none && modemControl.contains(.out2) && !isLoopback
        if level && !interruptLevel { effects.interrupt = true }
        interruptLevel = level
    }

    /// Notes how the modem inputs changed since `old` in the delta bits.
    mutating func noteModemChange(from old: ModemInputs) {
        let new = visibleModemInputs
        let changed = old.symmetricDifference(new)
        if changed.contains(.clearToSend) { modemDeltas.insert(.deltaClearToSend) }
        if changed.contains(.dataSetReady) { modemDeltas.insert(.deltaDataSetReady) }
        if changed.contains(.dataCarrierDetect) { modemDeltas.insert(.deltaDataCarrierDetect) }
        if old.contains(.ringIndicator) && !new.contains(.ringIndicator) {
            modemDeltas.insert(.trailingEdgeRingIndicator)
        }
    }
}
