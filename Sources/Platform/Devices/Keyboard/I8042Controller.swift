// SPDX-License-Identifier: Apache-2.0

/// The logic of the keyboard controller as a plain value; `I8042` gives it a lock and a world.
struct I8042Controller {
    /// The effects of one operation outside the device.
    struct Effects {
        /// The keyboard's interrupt line rose.
        var interrupt = false
        /// The reset line was pulsed.
        var reset = false
        /// The guest did something that this controller does not know.
        var isFault = false
        /// The keyboard's lights, where the guest has set them.
        var lights: UInt8?
    }

    struct Status: OptionSet {
        let rawValue: UInt8
        static let outputBufferFull = Self(rawValue: 1 << 0)
        static let inputBufferFull = Self(rawValue: 1 << 1)
        /// POST has passed.
        static let system = Self(rawValue: 1 << 2)
        static let lastWriteWasCommand = Self(rawValue: 1 << 3)
        /// The keyboard lock is open.
        static let notInhibited = Self(rawValue: 1 << 4)
    }

    struct Configuration: OptionSet {
        let rawValue: UInt8
        static let keyboardInterrupt = Self(rawValue: 1 << 0)
        static let auxiliaryInterrupt = Self(rawValue: 1 << 1)
        static let system = Self(rawValue: 1 << 2)
        static let keyboardDisabled = Self(rawValue: 1 << 4)
        static let auxiliaryDisabled = Self(rawValue: 1 << 5)
        static let translation = Self(rawValue: 1 << 6)
    }

    /// Commands at port 0x64 other than the ranges 20h-3Fh, 60h-7Fh (RAM) and F0h-FFh (pulses).
    enum Command: UInt8 {
        case disableAuxiliary = 0xa7
        case enableAuxiliary = 0xa8
        case testAuxiliary = 0xa9
        case selfTest = 0xaa
        case testKeyboard = 0xab
        case disableKeyboard = 0xad
        case enableKeyboard = 0xae
        case readInputPort = 0xc0
        case readOutputPort = 0xd0
        case writeOutputPort = 0xd1
        case writeKeyboardBuffer = 0xd2
        case writeAuxiliaryBuffer = 0xd3
        case writeAuxiliary = 0xd4
        case disableA20 = 0xdd
        case enableA20 = 0xdf
        case readTestInputs = 0xe0
    }

    struct OutputPort: OptionSet {
        let rawValue: UInt8
        /// Active low: 0 holds the CPU in reset.
        static let notReset = Self(rawValue: 1 << 0)
        static let a20 = Self(rawValue: 1 << 1)
        static let keyboardInterrupt = Self(rawValue: 1 << 4)
    }

    static let initialConfiguration: Configuration = [
        .keyboardInterrupt, .system, .auxiliaryDisabled, .translation,
    ]
    static let initialMemory = [initialConfiguration.rawValue] + [UInt8](repeating: 0, count: 31)
    static let initialOutputPort = OutputPort([.notReset, .a20]).rawValue

    private var memory: [32 of UInt8]
    private var outputPort: OutputPort
    private var outputBuffer: UInt8
    private var isOutputBufferFull: Bool
    /// Indicates whether the output buffer has a byte of a key.
    private var holdsKey = false
    private var lastWriteWasCommand: Bool
    /// 60h-7Fh, D1h-D4h or nil.
    private var pendingCommand: UInt8?
    private var isTranslatingBreak: Bool
    private var keyboard: Keyboard
    private var effects = Effects()

    init(_ state: I8042State) {
        memory = [32 of UInt8](repeating: 0)
        for (index, byte) in state.memory.prefix(32).enumerated() {
            memory[index] = byte
        }
        outputPort = OutputPort(rawValue: state.outputPort)
        outputBuffer = state.outputBuffer
        isOutputBufferFull = state.isOutputBufferFull
        lastWriteWasCommand = state.lastWriteWasCommand
        pendingCommand = state.pendingCommand
        isTranslatingBreak = state.isTranslatingBreak
        keyboard = Keyboard(state.keyboard)
        configuration = Configuration(rawValue: memory[0])
    }

    var state: I8042State {
        var state = I8042State()
        state.memory = (0..<32).map { memory[$0] }
        state.outputPort = outputPort.rawValue
        state.outputBuffer = outputBuffer
        state.isOutputBufferFull = isOutputBufferFull
        state.lastWriteWasCommand = lastWriteWasCommand
        state.pendingCommand = pendingCommand
        state.isTranslatingBreak = isTranslatingBreak
        state.keyboard = keyboard.state
        return state
    }

    mutating func takeEffects() -> Effects {
        defer { effects = Effects() }
        return effects
    }

    /// RAM byte 0.
    ///
    /// There is no auxiliary port, so its "disabled" bit cannot be cleared: that is how drivers see it.
    private var configuration: Configuration {
        get { Configuration(rawValue: memory[0]) }
        set { memory[0] = newValue.union(.auxiliaryDisabled).rawValue }
    }

    // MARK: - The guest

    /// Status port.
    ///
    /// The input buffer is never full: every write is handled before the guest's next instruction.
    var status: UInt8 {
        var status: Status = .notInhibited
        if isOutputBufferFull { status.insert(.outputBufferFull) }
        if configuration.contains(.system) { status.insert(.system) }
        if lastWriteWasCommand { status.insert(.lastWriteWasCommand) }
        return status.rawValue
    }

    mutating func readData() -> UInt8 {
        let value = outputBuffer
        isOutputBufferFull = false
        pollKeyboard()
        return value
    }

    mutating func writeCommand(_ value: UInt8) {
        lastWriteWasCommand = true
        pendingCommand = nil
        switch value {
        case 0x20...0x3f:
            fillOutputBuffer(memory[Int(value & 0x1f)])
        case 0x60...0x7f:
            pendingCommand = value
        case 0xf0...0xff:
            // A 0 in bits 3:0 pulses that line of the output port for 6 us; bit 0 is the CPU's reset.
            effects.reset = value & 1 == 0
        default:
            if let command = Command(rawValue: value) {
                execute(command)
            } else {
                effects.isFault = true
            }
        }
        pollKeyboard()
    }

    mutating func writeData(_ value: UInt8) {
        lastWriteWasCommand = false
        if let command = pendingCommand {
            pendingCommand = nil
            finish(command, with: value)
        } else {
            // Sending to the keyboard releases its clock line.
            configuration.remove(.keyboardDisabled)
            returnKey()
            effects.isFault = !keyboard.receive(value)
            effects.lights = keyboard.takeLights()
        }
        pollKeyboard()
    }

    private mutating func execute(_ command: Command) {
        switch command {
        case .disableAuxiliary, .enableAuxiliary:
            break  // there is none: its "disabled" bit stays set
        case .testAuxiliary:
            fillOutputBuffer(0x02)  // "clock line stuck high": nothing is connected
        case .selfTest:
            configuration.insert(.system)
            fillOutputBuffer(0x55)
        case .testKeyboard:
            fillOutputBuffer(0x00)
        case .disableKeyboard:
            configuration.insert(.keyboardDisabled)
        case .enableKeyboard:
            configuration.remove(.keyboardDisabled)
        case .readInputPort:
            fillOutputBuffer(0x80)  // the keyboard is not locked
        case .readOutputPort:
            var port = outputPort
            if isOutputBufferFull && configuration.contains(.keyboardInterrupt) { port.insert(.keyboardInterrupt) }
            fillOutputBuffer(port.rawValue)
        case .writeOutputPort, .writeKeyboardBuffer, .writeAuxiliaryBuffer, .writeAuxiliary:
            pendingCommand = command.rawValue
        case .disableA20:
            outputPort.remove(.a20)
        case .enableA20:
            outputPort.insert(.a20)
        case .readTestInputs:
            fillOutputBuffer(0x00)
        }
    }

    /// The second byte of a command has come.
    private mutating func finish(_ command: UInt8, with value: UInt8) {
        switch Command(rawValue: command) {
        case .writeOutputPort:
            outputPort = OutputPort(rawValue: value)
            if !outputPort.contains(.notReset) {
                effects.reset = true
                outputPort.insert(.notReset)
            }
        case .writeKeyboardBuffer:
            fillOutputBuffer(value)
        case .writeAuxiliaryBuffer:
            // Without an auxiliary port the byte comes back as if from the keyboard. Linux sees that the status lacks
            // the AUX flag and gives up at once; without an answer it would wait half a second.
            fillOutputBuffer(value)
        case .writeAuxiliary:
            break  // nothing is connected
        case .disableAuxiliary, .enableAuxiliary, .testAuxiliary, .selfTest, .testKeyboard, .disableKeyboard,
            .enableKeyboard, .readInputPort, .readOutputPort, .disableA20, .enableA20, .readTestInputs:
            break  // these wait for no byte
        case nil:  // 60h-7Fh
            let index = Int(command & 0x1f)
            let wasEnabled = configuration.contains(.keyboardInterrupt)
            memory[index] = value
            guard index == 0 else { return }
            configuration = Configuration(rawValue: value)
            if isOutputBufferFull && !wasEnabled && configuration.contains(.keyboardInterrupt) {
                effects.interrupt = true
            }
        }
    }

    // MARK: - The output buffer

    private mutating func fillOutputBuffer(_ value: UInt8, isKey: Bool = false) {
        outputBuffer = value
        isOutputBufferFull = true
        holdsKey = isKey
        if configuration.contains(.keyboardInterrupt) { effects.interrupt = true }
    }

    /// Fetches the keyboard's next byte if the output buffer is free and the keyboard may send.
    private mutating func pollKeyboard() {
        while !isOutputBufferFull, !configuration.contains(.keyboardDisabled), let (code, isKey) = keyboard.send() {
            guard configuration.contains(.translation) else {
                fillOutputBuffer(code, isKey: isKey)
                return
            }
            if code == ScancodeTranslation.breakPrefix {
                isTranslatingBreak = true
            } else {
                let bit: UInt8 = isTranslatingBreak ? 0x80 : 0
                isTranslatingBreak = false
                fillOutputBuffer(ScancodeTranslation.setOneCode(of: code) | bit, isKey: isKey)
            }
        }
    }

    /// Gives the keyboard back what the guest has not read of a key, for after the reply to the command that now comes.
    ///
    /// A real keyboard needs a millisecond for a byte, and sends one that a command interrupts again. Here the byte is there at once,
    /// and a driver that waits for the reply drops it.
    private mutating func returnKey() {
        guard isOutputBufferFull, holdsKey else { return }
        let code = keyboard.lastSent
        // The translation took a prefix away, and set bit 7 for it.
        let hasPrefix = configuration.contains(.translation) && code < 0x80 && outputBuffer & 0x80 != 0
        if keyboard.takeBack(prefix: hasPrefix ? ScancodeTranslation.breakPrefix : nil) { isOutputBufferFull = false }
    }

    // MARK: - The host

    /// Raises the interrupt of a byte that the guest has not read.
    mutating func raisePendingInterrupt() {
        if isOutputBufferFull, configuration.contains(.keyboardInterrupt) { effects.interrupt = true }
    }

    mutating func pressCtrlAltDelete() -> Bool {
        let isSent = keyboard.pressCtrlAltDelete()
        pollKeyboard()
        return isSent
    }

    mutating func pressSleep() -> Bool {
        let isSent = keyboard.pressSleep()
        pollKeyboard()
        return isSent
    }

    mutating func turnOff(_ lights: UInt8) { keyboard.turnOff(lights) }
}
