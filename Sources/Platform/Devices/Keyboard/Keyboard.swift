// SPDX-License-Identifier: Apache-2.0

/// The state of a `Keyboard`.
package struct KeyboardState: Codable, Hashable, Sendable {
    /// Bytes on their way to the controller, at most 16.
    package var output: [UInt8] = []
    package var isScanning = true
    package var scancodeSet: UInt8 = 2
    /// Bits 2:0: Caps Lock, Num Lock, Scroll Lock.
    package var leds: UInt8 = 0
    package var typematic: UInt8 = Keyboard.defaultTypematic
    /// The command that waits for its parameter byte.
    package var pendingCommand: UInt8?
    package var lastSent: UInt8 = 0

    package init() {}
}

/// An MF2 keyboard behind the controller (IBM PS/2 Technical Reference, "101/102-Key Keyboard").
///
/// It has no keys but those of Ctrl-Alt-Delete, and the sleep key.
struct Keyboard {
    enum Command: UInt8 {
        case setLEDs = 0xed
        case echo = 0xee
        case scancodeSet = 0xf0
        case identify = 0xf2
        case setTypematic = 0xf3
        case enableScanning = 0xf4
        case disableScanning = 0xf5
        case setDefaults = 0xf6
        case allTypematic = 0xf7
        case allMakeBreak = 0xf8
        case allMake = 0xf9
        case allTypematicMakeBreak = 0xfa
        case resend = 0xfe
        case reset = 0xff
    }

    private enum Reply {
        static let acknowledge: UInt8 = 0xfa
        static let selfTestPassed: UInt8 = 0xaa
        static let echo: UInt8 = 0xee
        /// "Send that again": the answer to an unknown command.
        static let resend: UInt8 = 0xfe
    }

    /// 10.9 characters per second after 500 ms.
    static let defaultTypematic: UInt8 = 0x2b

    /// Set 2: left Ctrl, left Alt and the grey Delete key go down, then up in reverse.
    private static let ctrlAltDelete2: [11 of UInt8] = [
        0x14, 0x11, 0xe0, 0x71, 0xe0, 0xf0, 0x71, 0xf0, 0x11, 0xf0, 0x14,
    ]
    private static let ctrlAltDelete1: [8 of UInt8] = [0x1d, 0x38, 0xe0, 0x53, 0xe0, 0xd3, 0xb8, 0x9d]
    private static let ctrlAltDelete3: [9 of UInt8] = [0x11, 0x19, 0x64, 0xf0, 0x64, 0xf0, 0x19, 0xf0, 0x11]

    private static let sleep2: [5 of UInt8] = [0xe0, 0x3f, 0xe0, 0xf0, 0x3f]
    private static let sleep1: [4 of UInt8] = [0xe0, 0x5f, 0xe0, 0xdf]
    private static let sleep3: [3 of UInt8] = [0x7f, 0xf0, 0x7f]

    private var replies: ByteQueue
    /// The codes of pressed keys, sent behind replies: a driver that waits for a reply takes whatever comes for it.
    private var keys = ByteQueue()
    /// Both share one buffer.
    private var room: Int { keys.room - replies.count }
    private var isScanning: Bool
    private var scancodeSet: UInt8
    private(set) var leds: UInt8 { didSet { areLightsSet = true } }
    private var areLightsSet = false
    private var typematic: UInt8
    private var pendingCommand: Command?
    private(set) var lastSent: UInt8

    init(_ state: KeyboardState) {
        replies = ByteQueue(state.output)
        isScanning = state.isScanning
        scancodeSet = (1...3).contains(state.scancodeSet) ? state.scancodeSet : 2
        leds = state.leds & 0x07
        typematic = state.typematic & 0x7f
        pendingCommand = state.pendingCommand.flatMap(Command.init(rawValue:))
        lastSent = state.lastSent
    }

    var state: KeyboardState {
        var state = KeyboardState()
        state.output = replies.bytes + keys.bytes
        state.isScanning = isScanning
        state.scancodeSet = scancodeSet
        state.leds = leds
        state.typematic = typematic
        state.pendingCommand = pendingCommand?.rawValue
        state.lastSent = lastSent
        return state
    }

    /// The next byte for the controller: replies come before keys, and no key while a command waits for its parameter.
    mutating func send() -> (byte: UInt8, isKey: Bool)? {
        let reply = replies.popFirst()
        guard let byte = reply ?? (pendingCommand == nil ? keys.popFirst() : nil) else { return nil }
        lastSent = byte
        return (byte, reply == nil)
    }

    /// Takes back the byte of a key that was sent last, and the prefix that was sent before it.
    ///
    /// - Returns: False if the buffer has no room for them.
    mutating func takeBack(prefix: UInt8?) -> Bool {
        guard room >= 2 else { return false }
        keys.prepend(lastSent)
        if let prefix { keys.prepend(prefix) }
        return true
    }

    /// Presses and releases Ctrl-Alt-Delete.
    ///
    /// - Returns: False if the keyboard is switched off or its buffer cannot take the whole sequence; then nothing is
    ///   sent, so that no key stays down.
    mutating func pressCtrlAltDelete() -> Bool {
        guard isScanning else { return false }
        switch scancodeSet {
        case 1: return enqueue(Self.ctrlAltDelete1.span)
        case 3: return enqueue(Self.ctrlAltDelete3.span)
        default: return enqueue(Self.ctrlAltDelete2.span)
        }
    }

    /// Presses and releases the sleep key.
    ///
    /// - Returns: As `pressCtrlAltDelete`.
    mutating func pressSleep() -> Bool {
        guard isScanning else { return false }
        switch scancodeSet {
        case 1: return enqueue(Self.sleep1.span)
        case 3: return enqueue(Self.sleep3.span)
        default: return enqueue(Self.sleep2.span)
        }
    }

    private mutating func enqueue(_ codes: Span<UInt8>) -> Bool {
        guard room >= codes.count else { return false }
        for index in codes.indices {
            _ = keys.append(codes[index])
        }
        return true
    }

    /// The lights if the guest has set them since the last call, even to the same value; else `nil`.
    mutating func takeLights() -> UInt8? {
        defer { areLightsSet = false }
        return areLightsSet ? leds : nil
    }

    /// Turns lights off without the guest.
    mutating func turnOff(_ lights: UInt8) {
        leds &= ~lights
        areLightsSet = false
    }

    /// Takes a byte from the controller.
    ///
    /// Answers that find the buffer full are lost, as on a real keyboard.
    ///
    /// - Returns: Whether the byte is a command or a parameter that this keyboard knows.
    mutating func receive(_ byte: UInt8) -> Bool {
        if let command = pendingCommand, byte < Command.setLEDs.rawValue {
            pendingCommand = nil
            return receiveParameter(byte, of: command)
        }
        pendingCommand = nil
        guard let command = Command(rawValue: byte) else {
            reply(Reply.resend)
            return false
        }
        execute(command)
        return true
    }

    private mutating func execute(_ command: Command) {
        switch command {
        case .setLEDs, .scancodeSet, .setTypematic:
            pendingCommand = command
            reply(Reply.acknowledge)
        case .echo:
            reply(Reply.echo)
        case .identify:
            reply(Reply.acknowledge)
            reply(0xab)
            reply(0x83)
        case .enableScanning:
            isScanning = true
            reply(Reply.acknowledge)
        case .disableScanning:
            setDefaults()
            isScanning = false
            reply(Reply.acknowledge)
        case .setDefaults:
            setDefaults()
            reply(Reply.acknowledge)
        case .allTypematic, .allMakeBreak, .allMake, .allTypematicMakeBreak:
            reply(Reply.acknowledge)  // these concern set 3 keys that are held down: there are none
        case .resend:
            reply(lastSent)
        case .reset:
            setDefaults()
            isScanning = true
            replies.removeAll()
            keys.removeAll()
            reply(Reply.acknowledge)
            reply(Reply.selfTestPassed)
        }
    }

    private mutating func receiveParameter(_ byte: UInt8, of command: Command) -> Bool {
        switch command {
        case .setLEDs:
            leds = byte & 0x07
        case .setTypematic:
            typematic = byte & 0x7f
        case .scancodeSet where byte <= 3:
            if byte == 0 {
                reply(Reply.acknowledge)
                reply(scancodeSet)
                return true
            }
            scancodeSet = byte
        case .scancodeSet, .echo, .identify, .enableScanning, .disableScanning, .setDefaults, .allTypematic,
            .allMakeBreak, .allMake, .allTypematicMakeBreak, .resend, .reset:
            reply(Reply.resend)  // no such set; the other commands take no parameter
            return false
        }
        reply(Reply.acknowledge)
        return true
    }

    private mutating func setDefaults() {
        typematic = Self.defaultTypematic
        scancodeSet = 2
        leds = 0
    }

    private mutating func reply(_ byte: UInt8) {
        if room > 0 { _ = replies.append(byte) }
    }
}
