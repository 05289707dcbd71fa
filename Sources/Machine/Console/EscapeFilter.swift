// SPDX-License-Identifier: Apache-2.0

/// Finds the commands to Martlet in a user's input, and passes on the rest, byte for byte.
///
/// A command is the escape prefix (Ctrl-a unless chosen otherwise) and one key of `ConsoleCommand`.
package struct EscapeFilter: Sendable {
    /// One piece of the input, in order.
    package enum Event: Hashable, Sendable {
        case byte(UInt8)
        case command(ConsoleCommand)
    }

    /// The control character that begins a command, or `nil` when every byte is the guest's.
    package let prefix: UInt8?
    private var isAfterPrefix = false

    package init(prefix: UInt8?) {
        self.prefix = prefix
    }

    /// The meaning of `byte`; `nil` while a command is not complete, and for an unknown key.
    package mutating func process(_ byte: UInt8) -> Event? {
        guard let prefix else { return .byte(byte) }
        if !isAfterPrefix {
            guard byte == prefix else { return .byte(byte) }
            isAfterPrefix = true
            return nil
        }
        isAfterPrefix = false
        // Twice the prefix is the prefix itself, for a guest that wants it (screen, tmux, readline).
        if byte == prefix { return .byte(byte) }
        if byte == UInt8(ascii: "?") { return .command(.help) }
        return ConsoleCommand(rawValue: byte | 0x20).map(Event.command)
    }

    /// The prefix as people write it: `Ctrl-a`.
    package var prefixName: String {
        guard let prefix else { return "none" }
        return "Ctrl-" + String(UnicodeScalar(prefix | 0x60))
    }

    /// The help text, one command a line.
    package var help: String {
        let lines = ConsoleCommand.allCases.map { "\(prefixName) \($0.key)  \($0.summary)" }
        return (lines + ["\(prefixName) \(prefixName)  send \(prefixName) to the guest"]).joined(separator: "\n")
    }
}

extension EscapeFilter {
    /// The prefix that a user wrote: `ctrl-a`, `^a`, or `none`.
    ///
    /// - Returns: A filter, or `nil` where `text` is neither of them.
    package init?(parsing text: String) {
        let lowered = text.lowercased()
        if lowered == "none" {
            self.init(prefix: nil)
            return
        }
        let letters =
            if lowered.hasPrefix("ctrl-") {
                lowered.dropFirst(5)
            } else if lowered.hasPrefix("^") {
                lowered.dropFirst(1)
            } else {
                Substring()
            }
        guard letters.count == 1, let letter = letters.first?.asciiValue, letter >= 0x61, letter <= 0x7a else {
            return nil
        }
        self.init(prefix: letter & 0x1f)
    }
}
