// SPDX-License-Identifier: Apache-2.0

/// The result of an instruction.
package enum Outcome: Hashable, Sendable {
    /// The instruction is done, and RIP is after it.
    case completed
    /// The caller must inject this exception.
    ///
    /// For a fault nothing has changed, and RIP is at the instruction. For a trap (#BP and #DB) the instruction is done,
    /// and RIP is after it.
    case exception(CPUException)
    /// The emulator cannot help; nothing has changed.
    case unsupported(UnsupportedReason)
}

/// The reason why an operation ended early.
enum ExecutionFailure: Error, Hashable, Sendable {
    case exception(CPUException)
    case unsupported(UnsupportedReason)

    static let invalidOpcode = ExecutionFailure.exception(.invalidOpcode)
    static let deviceNotAvailable = ExecutionFailure.exception(.deviceNotAvailable)
    static let generalProtection = ExecutionFailure.exception(.generalProtection)
}
