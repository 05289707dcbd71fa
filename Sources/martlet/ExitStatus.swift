// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Machine

extension ExitCode {
    /// The exit status that tells a script how the machine ended.
    init(_ outcome: MachineOutcome) {
        switch outcome {
        case .poweredOff, .reset, .halted, .stopped: self = .success
        case .panicked, .tripleFault: self = ExitCode(2)
        case .exited(let status): self = ExitCode(Int32(status))
        case .failed: self = .failure
        }
    }
}

extension MachineOutcome {
    /// What a user should read about the end, if anything.
    var message: String? {
        switch self {
        case .poweredOff, .reset, .exited: nil
        case .halted: "the guest halted with interrupts off: nothing can wake it"
        case .stopped: "the machine was stopped"
        case .panicked: "the guest's kernel panicked"
        case .tripleFault: "the guest shut down: triple fault"
        case .failed(let error): "\(error)"
        }
    }
}
