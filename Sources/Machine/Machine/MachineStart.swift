// SPDX-License-Identifier: Apache-2.0

import MachineModel

/// The beginning of a machine.
enum MachineStart {
    /// Its kernel's first instruction.
    case boot(MachineConfiguration)
    /// The place where a saved machine stood.
    case restore(MachineSnapshot, RestoreOptions)
}
