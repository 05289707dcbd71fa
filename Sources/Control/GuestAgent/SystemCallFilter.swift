// SPDX-License-Identifier: Apache-2.0

package import JSON

/// The system calls that a program in a guest may make, as a filter of seccomp(2).
package struct SystemCallFilter: Hashable, Sendable {
    /// An instruction of classic BPF, as `struct sock_filter` has it.
    package struct Instruction: Hashable, Sendable {
        package var code: UInt16
        /// The number of instructions that a jump leaves out where its condition holds, and where it does not.
        package var ifTrue: UInt8 = 0
        package var ifFalse: UInt8 = 0
        package var operand: UInt32

        package init(_ code: UInt16, _ operand: UInt32, ifTrue: UInt8 = 0, ifFalse: UInt8 = 0) {
            (self.code, self.operand, self.ifTrue, self.ifFalse) = (code, operand, ifTrue, ifFalse)
        }

        var word: UInt64 {
            UInt64(operand) << 32 | UInt64(ifFalse) << 24 | UInt64(ifTrue) << 16 | UInt64(code)
        }
    }

    /// Flags of seccomp(2).
    private let flags: UInt32
    /// The instructions as they lie in memory.
    private let words: [UInt64]

    package init(_ instructions: [Instruction], flags: UInt32) {
        (self.flags, words) = (flags, instructions.map(\.word))
    }

    /// Reads what `description` gave.
    package init?(_ description: JSONValue) {
        guard let flags = description["flags"].integer else { return nil }
        self.flags = UInt32(truncatingIfNeeded: flags)
        words = description["instructions"].elements.map { $0.bits ?? 0 }
    }

    package var description: JSONValue {
        ["flags": .integer(Int64(flags)), "instructions": .array(words.map { .integer(Int64(bitPattern: $0)) })]
    }

    var message: AgentMessage {
        AgentMessage(.filter, AgentMessage.bytes(flags) + words.flatMap { AgentMessage.bytes($0) })
    }
}
