// SPDX-License-Identifier: Apache-2.0

import Console
import MachineModel
import Snapshot
import Synchronization

extension VirtualMachine {
    /// Notes for the user when a machine has ended, besides the outcome: one line each.
    package var closingNotes: [String] {
        var notes: [String] = []
        let dropped = parts.console.droppedByteCount
        if dropped > 0 {
            notes.append("\(dropped) bytes of console output were lost: nobody read them")
        }
        // A machine that was stopped may not have reached its disks.
        guard state.withLock({ $0.outcome }) != .stopped else { return notes }
        return notes
            + unusedDisks.map {
                "the guest never used \($0): its kernel may lack CONFIG_VIRTIO_MMIO or CONFIG_VIRTIO_BLK (a module will do)"
            }
    }

    /// Indicates whether anything that is typed or piped into this process reaches the guest.
    package var readsInput: Bool { parts.console.hasInput }
}

extension MachineStart {
    /// Notes for the user before the guest starts, besides those of the machine's parts: one line each.
    func notes(for parts: MachineParts) -> [String] {
        switch self {
        case .boot(let configuration):
            return configuration.notes + InterpretedHost.notes(for: configuration)
        case .restore(let snapshot, let options):
            var notes: [String] = []
            if !parts.devices.interfaces.isEmpty {
                notes.append(
                    "machines restored from one snapshot have the same network addresses: do not put two of them on one network"
                )
            }
            if !options.keepsIdentity, !parts.guestLearnsIdentity {
                notes.append(
                    """
                    this guest cannot be told that it was restored: further machines of \(snapshot.folder.path) have the same \
                    random numbers
                    """
                )
            }
            return notes
        }
    }
}
