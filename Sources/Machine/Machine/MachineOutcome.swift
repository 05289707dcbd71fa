// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

/// The end of a machine.
package enum MachineOutcome: Hashable, Sendable {
    /// The guest powered off (ACPI S5).
    case poweredOff
    /// The guest reset the machine, which is how one without a power-off method ends as well.
    case reset
    /// Every vCPU is halted with interrupts off: the guest has ended without a word, as `halt` does, and as `poweroff`
    /// does where a kernel knows no way to power off.
    case halted
    /// The guest's kernel panicked, as it reported through pvpanic or by the warm reset that it was asked to make then.
    case panicked
    /// A vCPU shut down: an exception while handling an exception while handling an exception.
    case tripleFault
    /// The guest ended the machine through the exit-status port.
    case exited(UInt8)
    /// The host stopped the machine.
    case stopped
    /// The machine could not go on.
    case failed(MachineError)

    /// The exit status of a process that tells a script how the machine ended.
    package var exitStatus: UInt8 {
        switch self {
        case .poweredOff, .reset, .halted, .stopped: 0
        case .panicked, .tripleFault: 2
        case .exited(let status): status
        case .failed: 1
        }
    }

    /// The message to the user about the end, if any.
    package var message: String? {
        switch self {
        case .poweredOff, .reset, .exited: nil
        case .halted: "the guest halted with interrupts off: nothing can wake it"
        case .stopped: "the machine was stopped"
        case .panicked: "the guest's kernel panicked"
        case .tripleFault: "the guest shut down: triple fault"
        case .failed(let error): "\(error)"
        }
    }

    /// One word for programs.
    package var name: String {
        switch self {
        case .poweredOff: "powered-off"
        case .reset: "reset"
        case .halted: "halted"
        case .panicked: "panicked"
        case .tripleFault: "triple-fault"
        case .exited: "exited"
        case .stopped: "stopped"
        case .failed: "failed"
        }
    }
}

/// The activity of a machine.
package enum MachinePhase: Hashable, Sendable {
    case notStarted
    case running
    /// Nothing runs and nothing changes guest memory.
    case paused
    /// Its guest runs no more, and its outcome is known.
    case ended
}

/// The events of a running machine, besides its outcome, for the code that started it.
package enum MachineEvent: Sendable {
    /// The answer to a console command, for the user.
    case message(String)
    /// The user wants to leave the machine running.
    case detach
    /// The terminal of the console is gone.
    case consoleHangUp
    /// Nothing can be written to the console's output any more; the guest continues without.
    case consoleFailed(Errno)
}
