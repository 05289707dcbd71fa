// SPDX-License-Identifier: Apache-2.0

extension UART16550 {
    // MARK: - From the host

    /// The number of characters of the host that may wait here, seen by the guest or not.
    private var hostRoom: Int {
        // Looped-back characters take FIFO slots but none of the host's room: bytes that they displace wait in `held`.
        max(0, CharacterRing.capacity - fifo.count - held.count)
    }

    /// Takes characters from the host until none fits; a character timeout follows.
    mutating func receive(_ bytes: Span<UInt8>) -> Int {
        isHostCalled = false
        let count = min(bytes.count, hostRoom)
        for index in 0..<count {
            held.append(ReceivedCharacter(byte: bytes[index]))
        }
        isHostWaiting = count < bytes.count
        feed()
        fallSilent()
        updateInterrupt()
        return count
    }

    /// Takes one character with its errors.
    mutating func receive(_ character: ReceivedCharacter) -> Bool {
        isHostCalled = false
        guard hostRoom > 0 else {
            isHostWaiting = true
            return false
        }
        held.append(character)
        feed()
        fallSilent()
        updateInterrupt()
        return true
    }

    /// Shows the guest the host's bytes, if the guest is ready for them.
    mutating func feed() {
        guard interruptEnable.contains(.receivedData) || isPolledReceiver, !isLoopback else { return }
        while fifo.count < receiverCapacity, let character = held.popFirst() {
            fifo.append(character)
        }
    }

    /// Four character times pass in which nothing arrives (PC16550D, 8.6, "FIFO interrupt mode operation").
    mutating func fallSilent() {
        isTimeoutPending = hasFIFOs && !fifo.isEmpty
    }

    // MARK: - From the guest

    /// RBR read.
    mutating func readReceiverBuffer() -> UInt8 {
        guard let character = fifo.popFirst() else { return lastReceived }
        if !hasFIFOs { latchedErrors.formUnion(character.lineErrors) }
        lastReceived = character.byte
        isTimeoutPending = false
        updateInterrupt()
        let remaining = fifo.count
        feed()
        if fifo.count > remaining {
            fallSilent()
            updateInterrupt()
        }
        callHost()
        return lastReceived
    }

    /// Calls the host when much of the FIFO is free, or when only the host can tell that four character
    /// times have passed: characters below the trigger level would wait forever.
    private mutating func callHost() {
        let needsTimeout = hasFIFOs && !fifo.isEmpty && !isTimeoutPending && fifo.count < fifoControl.triggerLevel
        let hasRoom = isHostWaiting && fifo.count + held.count <= CharacterRing.capacity / 2
        guard needsTimeout || hasRoom, !isHostCalled else { return }
        isHostCalled = true
        effects.inputReady = true
    }

    /// THR written in loopback: the transmitter's output is the receiver's input.
    mutating func loopBack(_ byte: UInt8) {
        let character = ReceivedCharacter(byte: byte, isLoopedBack: true)
        if fifo.count >= receiverCapacity {
            // PC16550D, 8.4, bit 1: RBR is overwritten; a full FIFO keeps its bytes and the new character is lost.
            latchedErrors.insert(.overrunError)
            if !hasFIFOs, let old = fifo.popLast() {
                if !old.isLoopedBack { held.prepend(old) }
                fifo.append(character)
            }
        } else {
            fifo.append(character)
        }
        fallSilent()
        // The transmitter is free again at once.
        isTransmitterInterruptPending = true
        updateInterrupt()
    }

    /// Empties the receiver.
    ///
    /// Input that the guest has not read goes back on the line.
    mutating func resetReceiver() {
        while let character = fifo.popLast() {
            if !character.isLoopedBack { held.prepend(character) }
        }
        isTimeoutPending = false
    }

    /// LSR read: shows the errors once and counts polls of a guest that waits for input without interrupts.
    mutating func readLineStatus() -> UInt8 {
        let status = lineStatus
        latchedErrors = []
        if let first = fifo.first, first.errors != 0 {
            fifo.first?.errors = 0
        }
        if status.contains(.holdingRegisterEmpty) && !isLoopback && !isPolledReceiver {
            idlePollCount += 1
            if idlePollCount >= Self.pollingReceiverThreshold {
                idlePollCount = 0
                isPolledReceiver = true
                feed()
                fallSilent()
            }
        }
        updateInterrupt()
        return status.rawValue
    }
}
