// SPDX-License-Identifier: Apache-2.0

/// The activity of a machine.
package enum MachinePhase: Hashable, Sendable {
    case notStarted
    case running
    /// Nothing runs and nothing changes guest memory.
    case paused
    /// Its guest runs no more, and its outcome is known.
    case ended
}
