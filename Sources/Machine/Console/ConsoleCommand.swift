// SPDX-License-Identifier: Apache-2.0

/// A user's command to Martlet, by the escape key and another one: the table for `run`, `attach` and `api`.
package enum ConsoleCommand: UInt8, CaseIterable, Sendable {
    case stop = 0x78  // x
    case detach = 0x64  // d
    case sendBreak = 0x62  // b
    case controlAltDelete = 0x63  // c
    case powerButton = 0x70  // p
    case rescanDisks = 0x72  // r
    case help = 0x68  // h

    /// The key, as the help shows it.
    var key: Character { Character(UnicodeScalar(rawValue)) }

    /// The effect, as the help shows it.
    var summary: String {
        switch self {
        case .stop: "stop the machine at once"
        case .detach: "leave the machine running"
        case .sendBreak: "send a break on the serial line"
        case .controlAltDelete: "press Ctrl-Alt-Del"
        case .powerButton: "press the power button"
        case .rescanDisks: "check the disks for new sizes"
        case .help: "show this help"
        }
    }

    /// Carries the command out.
    ///
    /// - Throws: The target's error.
    package func carryOut(on target: some ConsoleCommandTarget, _ filter: EscapeFilter) throws -> String? {
        switch self {
        case .stop: try target.commandStop()
        case .detach: return try target.commandDetach()
        case .sendBreak: try target.commandSendBreak()
        case .controlAltDelete: try target.commandPressControlAltDelete()
        case .powerButton: try target.commandPressPowerButton()
        case .rescanDisks:
            let changed = try target.commandRescanDisks()
            return changed.isEmpty ? "no disk has a new size" : "new size: \(changed.joined(separator: ", "))"
        case .help: return "console commands:\n" + filter.help
        }
        return nil
    }
}

/// A machine that obeys console commands.
package protocol ConsoleCommandTarget {
    func commandStop() throws
    /// - Returns: The message for the user, if any.
    func commandDetach() throws -> String?
    func commandSendBreak() throws
    func commandPressControlAltDelete() throws
    func commandPressPowerButton() throws
    /// - Returns: The paths of the disks with a new size.
    func commandRescanDisks() throws -> [String]
}
