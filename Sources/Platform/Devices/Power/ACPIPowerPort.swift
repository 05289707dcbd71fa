// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The state of an `ACPIPowerPort` for a snapshot.
package struct ACPIPowerState: Codable, Hashable, Sendable {
    /// Events that the guest has not read yet, as the event register shows them.
    package var pendingEvents: UInt8 = 0
    /// Indicates whether `WAK_STS` is set.
    package var hasWoken = false

    package init() {}
}

/// Power management of a hardware-reduced ACPI machine: four 8-bit ports.
///
/// | offset | register | source |
/// |---|---|---|
/// | 0 | sleep control: `SLP_TYPx` in bits 4:2, `SLP_EN` bit 5 | ACPI 6.5, 4.8.3.7 |
/// | 1 | sleep status: `WAK_STS` bit 7, written 1 to clear | ACPI 6.5, 4.8.3.7 |
/// | 2 | reset: 1 resets the machine | ACPI 6.5, 4.8.3.6; the value is the FADT's `RESET_VALUE` |
/// | 3 | pending events, cleared by reading; bit 0: power button, bit 1: another generation ID | ours, read by the DSDT's `_EVT` |
///
/// The interrupt line is that of the Generic Event Device (ACPI 6.5, 5.6.9).
package final class ACPIPowerPort: ByteWideDevice {
    enum Register: UInt64 {
        case sleepControl = 0
        case sleepStatus = 1
        case reset = 2
        case events = 3
    }

    private struct SleepControl: OptionSet {
        let rawValue: UInt8
        static let enable = Self(rawValue: 1 << 5)
        var sleepType: UInt8 { rawValue >> 2 & 0b111 }
    }

    /// `SLP_TYPx` of the soft-off state: the DSDT's `\_S5` package holds the same number.
    package static let softOffSleepType: UInt8 = 5
    /// The FADT's `RESET_VALUE`.
    package static let resetValue: UInt8 = 1
    /// The power button's bit in the event register.
    package static let powerButtonEvent: UInt8 = 1 << 0
    /// The generation ID's bit there.
    package static let generationEvent: UInt8 = 1 << 1
    private static let wakeStatus: UInt8 = 1 << 7

    private let registers: Mutex<ACPIPowerState>
    private let interrupt: any InterruptLine
    private let onRequest: GuestRequestHandler
    private let faults: GuestFaultLog

    package init(
        state: ACPIPowerState = ACPIPowerState(),
        interrupt: any InterruptLine,
        faults: GuestFaultLog = GuestFaultLog(device: "ACPI power port"),
        onRequest: @escaping GuestRequestHandler
    ) {
        self.registers = Mutex(state)
        self.interrupt = interrupt
        self.faults = faults
        self.onRequest = onRequest
    }

    package var state: ACPIPowerState { registers.withLock { $0 } }

    /// Restores a state, once the machine can take interrupts.
    package func restore(_ state: ACPIPowerState) {
        registers.withLock { $0 = state }
        if state.pendingEvents != 0 { interrupt.trigger() }
    }

    /// Tells the guest that its power button was pressed: most guests then shut down in good order.
    package func pressPowerButton() {
        announce(Self.powerButtonEvent)
    }

    /// Tells the guest that its generation ID has changed.
    package func announceGeneration() {
        announce(Self.generationEvent)
    }

    private func announce(_ event: UInt8) {
        registers.withLock { $0.pendingEvents |= event }
        interrupt.trigger()
    }

    package func readByte(at offset: UInt64) -> UInt8 {
        switch Register(rawValue: offset) {
        case .sleepControl, .reset:  // write-only in effect: ACPI 6.5 has software write them whole
            return 0
        case .sleepStatus:
            return registers.withLock { $0.hasWoken ? Self.wakeStatus : 0 }
        case .events:
            return registers.withLock { registers in
                defer { registers.pendingEvents = 0 }
                return registers.pendingEvents
            }
        case nil:
            faults.record("read at offset \(offset)")
            return 0xff
        }
    }

    package func writeByte(_ value: UInt8, at offset: UInt64) {
        switch Register(rawValue: offset) {
        case .sleepControl:
            let control = SleepControl(rawValue: value)
            guard control.contains(.enable) else { return }
            if control.sleepType == Self.softOffSleepType {
                onRequest(.powerOff)
            } else {
                // No other state is offered by the DSDT: the guest is awake again at once.
                registers.withLock { $0.hasWoken = true }
                faults.record("sleep type \(control.sleepType): only soft-off exists")
            }
        case .sleepStatus:
            guard value & Self.wakeStatus != 0 else { return }
            registers.withLock { $0.hasWoken = false }
        case .reset:
            if value == Self.resetValue {
                onRequest(.reset)
            } else {
                faults.record("reset register written with 0x\(String(value, radix: 16))")
            }
        case .events:
            faults.record("write of 0x\(String(value, radix: 16)) to the event register")
        case nil:
            faults.record("write at offset \(offset)")
        }
    }
}
