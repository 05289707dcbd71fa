// SPDX-License-Identifier: Apache-2.0

import Machine

extension VirtualMachine {
    /// The end of a machine.
    public enum Outcome: Hashable, Sendable, CustomStringConvertible {
        /// The guest powered off.
        case poweredOff
        /// The guest reset the machine, which is how one without a power-off method ends as well.
        case reset
        /// Every vCPU is halted with interrupts off: nothing could wake the guest.
        case halted
        /// The guest's kernel panicked.
        case panicked
        /// A vCPU shut down: an exception while handling an exception while handling an exception.
        case tripleFault
        /// The guest ended the machine with a status of its own: see ``MachineSize/hasExitStatusPort``.
        case exited(UInt8)
        /// The owner stopped the machine.
        case stopped
        /// The machine could not go on.
        case failed(MartletError)

        /// The outcome in words.
        public var description: String {
            switch self {
            case .poweredOff: "the guest powered off"
            case .reset: "the guest reset the machine"
            case .halted: "the guest halted with interrupts off"
            case .panicked: "the guest's kernel panicked"
            case .tripleFault: "the guest shut down: triple fault"
            case .exited(let status): "the guest ended the machine with status \(status)"
            case .stopped: "the machine was stopped"
            case .failed(let error): error.message
            }
        }

        init(_ outcome: MachineOutcome) {
            self =
                switch outcome {
                case .poweredOff: .poweredOff
                case .reset: .reset
                case .halted: .halted
                case .panicked: .panicked
                case .tripleFault: .tripleFault
                case .exited(let status): .exited(status)
                case .stopped: .stopped
                case .failed(let error): .failed(MartletError(error))
                }
        }
    }
}
