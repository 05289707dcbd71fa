// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The keyboard controller of a PC with a keyboard and no mouse, at ports 0x60 and 0x64 (Intel UPI-41/8042; IBM PS/2
/// Technical Reference, "Keyboard and Auxiliary Device Controller").
///
/// It lets a guest reset the machine and lets the host press Ctrl-Alt-Delete. The two ports are windows of one byte
/// each, `dataPort` and `commandPort`, because port 0x61 between them belongs to others (KVM's PIT). The status port
/// reads 0x14 when idle, or 0x1C after a command: the input buffer is free, the keyboard is not locked, POST has passed.
///
/// The interrupt line is triggered each time that a byte enters the output buffer while the configuration allows it.
package final class I8042: Sendable {
    private let controller: Mutex<I8042Controller>
    private let interrupt: any InterruptLine
    private let onRequest: GuestRequestHandler
    private let faults: GuestFaultLog

    package init(
        state: I8042State = I8042State(),
        interrupt: any InterruptLine,
        faults: GuestFaultLog = GuestFaultLog(device: "keyboard controller"),
        onRequest: @escaping GuestRequestHandler
    ) {
        self.controller = Mutex(I8042Controller(state))
        self.interrupt = interrupt
        self.faults = faults
        self.onRequest = onRequest
    }

    /// The state for a snapshot.
    package var state: I8042State { controller.withLock { $0.state } }

    /// Restores a state, once the machine can take interrupts.
    package func restore(_ state: I8042State) {
        operate { controller in
            controller = I8042Controller(state)
            controller.raisePendingInterrupt()
        }
    }

    /// The one-byte window for port 0x60.
    package var dataPort: any BusDevice { Port(controller: self, register: .data) }

    /// The one-byte window for port 0x64: status when read, commands when written.
    package var commandPort: any BusDevice { Port(controller: self, register: .command) }

    /// Presses and releases Ctrl-Alt-Delete.
    ///
    /// - Returns: False if the guest has switched the keyboard off, or has not read what it sent before.
    package func pressCtrlAltDelete() -> Bool {
        operate { $0.pressCtrlAltDelete() }
    }

    /// Presses and releases the sleep key.
    ///
    /// - Returns: As `pressCtrlAltDelete`.
    package func pressSleep() -> Bool {
        operate { $0.pressSleep() }
    }

    /// The lights of the keyboard: bits 2:0 are Caps Lock, Num Lock, Scroll Lock.
    package var keyboardLights: UInt8 { controller.withLock { $0.state.keyboard.leds } }

    /// Turns lights of the keyboard off, which the guest cannot read.
    ///
    /// - Parameter lights: Bits as in `keyboardLights`.
    package func turnOff(_ lights: UInt8) { controller.withLock { $0.turnOff(lights) } }

    // MARK: - Ports

    private enum Register {
        case data
        case command
    }

    private final class Port: ByteWideDevice {
        private let controller: I8042
        private let register: Register

        init(controller: I8042, register: Register) {
            self.controller = controller
            self.register = register
        }

        func readByte(at offset: UInt64) -> UInt8 {
            guard offset == 0 else { return 0xff }
            switch register {
            case .data: return controller.operate { $0.readData() }
            case .command: return controller.controller.withLock { $0.status }
            }
        }

        func writeByte(_ value: UInt8, at offset: UInt64) {
            guard offset == 0 else { return }
            switch register {
            case .data:
                controller.operate(data: value) { $0.writeData(value) }
            case .command:
                controller.operate(command: value) { $0.writeCommand(value) }
            }
        }
    }

    /// Runs one operation under the lock, then performs its effects.
    private func operate<Result: Sendable>(
        data: UInt8? = nil,
        command: UInt8? = nil,
        _ operation: (inout I8042Controller) -> Result
    ) -> Result {
        let (result, effects) = controller.withLock { controller in
            let result = operation(&controller)
            return (result, controller.takeEffects())
        }
        if effects.interrupt { interrupt.trigger() }
        if effects.reset { onRequest(.reset) }
        if let lights = effects.lights { onRequest(.keyboardLights(lights)) }
        if effects.isFault {
            faults.record(
                """
                \(command == nil ? "keyboard" : "controller") command \
                0x\(String(command ?? data ?? 0, radix: 16)) does not exist
                """
            )
        }
        return result
    }
}

/// Everything that must survive a snapshot of an `I8042`; the default is what a PC's firmware leaves behind.
package struct I8042State: Codable, Hashable, Sendable {
    /// The controller's 32 bytes of RAM; byte 0 is its configuration.
    package var memory: [UInt8] = I8042Controller.initialMemory
    package var outputPort: UInt8 = I8042Controller.initialOutputPort
    /// The byte that a read of the data port returns.
    package var outputBuffer: UInt8 = 0
    package var isOutputBufferFull = false
    /// The last write went to the command port.
    package var lastWriteWasCommand = false
    /// The command that waits for its byte at the data port.
    package var pendingCommand: UInt8?
    /// The keyboard has sent F0h, and the translation waits for the code that is released.
    package var isTranslatingBreak = false
    package var keyboard = KeyboardState()

    package init() {}
}
