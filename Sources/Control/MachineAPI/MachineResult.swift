// SPDX-License-Identifier: Apache-2.0

package import Machine

/// The end of a machine as programs read it: the answer to `/martlet/wait`, and a file in the machine's folder.
package struct MachineResult: Codable, Hashable, Sendable {
    /// One word, such as `powered-off` or `panicked`.
    package let outcome: String
    package let exitStatus: UInt8
    /// The message to the user about the end, if any.
    package var message: String?
    /// Further notes for the user: lost output, disks that the guest never used.
    package let notes: [String]
    /// The time of the end; `nil` over the API, where it is now.
    package var endedAt: String?
    package var endedAtMilliseconds: Int64?

    enum CodingKeys: String, CodingKey {
        case outcome
        case exitStatus = "exit_status"
        case message, notes
        case endedAt = "ended_at"
        case endedAtMilliseconds = "ended_at_ms"
    }

    /// Describes the end of a machine.
    package init(_ outcome: MachineOutcome, of machine: VirtualMachine) {
        (self.outcome, exitStatus, message) = (outcome.name, outcome.exitStatus, outcome.message)
        notes = machine.closingNotes
    }

    /// Describes the end of a machine by that of its program.
    package init(outcome: String, exitStatus: UInt8, message: String? = nil) {
        (self.outcome, self.exitStatus, self.message, notes) = (outcome, exitStatus, message, [])
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        outcome = try container.decode(String.self, forKey: .outcome)
        exitStatus = try container.decode(UInt8.self, forKey: .exitStatus)
        message = try container.decodeIfPresent(String.self, forKey: .message)
        // Results that an earlier release wrote have none.
        notes = try container.decodeIfPresent([String].self, forKey: .notes) ?? []
        endedAt = try container.decodeIfPresent(String.self, forKey: .endedAt)
        endedAtMilliseconds = try container.decodeIfPresent(Int64.self, forKey: .endedAtMilliseconds)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(outcome, forKey: .outcome)
        try container.encode(exitStatus, forKey: .exitStatus)
        // Null where there is none, for readers that look for the field.
        try container.encode(message, forKey: .message)
        try container.encode(notes, forKey: .notes)
        try container.encodeIfPresent(endedAt, forKey: .endedAt)
        try container.encodeIfPresent(endedAtMilliseconds, forKey: .endedAtMilliseconds)
    }

    /// All lines for the user, in order.
    package var messages: [String] { notes + (message.map { [$0] } ?? []) }
}
