// SPDX-License-Identifier: Apache-2.0

import Console
import Synchronization

extension VirtualMachine {
    /// Notes for the user when a machine has ended, besides the outcome: one line each.
    package var closingNotes: [String] {
        var notes: [String] = []
        if droppedConsoleByteCount > 0 {
            notes.append("\(droppedConsoleByteCount) bytes of console output were lost: nothing took them")
        }
        // A machine that was stopped may not have come to its disks.
        guard state.withLock({ $0.outcome }) != .stopped else { return notes }
        return notes
            + unusedDisks.map {
                "the guest never used \($0): its kernel may lack CONFIG_VIRTIO_MMIO or CONFIG_VIRTIO_BLK (a module will do)"
            }
    }

    /// Indicates whether anything that is typed or piped into this process reaches the guest.
    package var readsInput: Bool { parts.console.hasInput }
}
