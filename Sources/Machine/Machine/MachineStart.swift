// SPDX-License-Identifier: Apache-2.0

package import MachineModel

/// The beginning of a machine.
package enum MachineStart: Sendable {
    /// Its kernel's first instruction.
    case boot(MachineConfiguration)
    /// The place where a saved machine stood.
    case restore(MachineSnapshot, RestoreOptions)

    /// The settings of the serial port's output.
    var serial: SerialSettings? {
        switch self {
        case .boot(let configuration): configuration.serial
        case .restore(_, let options): options.serial
        }
    }
}
