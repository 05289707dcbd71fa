// SPDX-License-Identifier: Apache-2.0

/// A guest's request to the machine as a whole, by whichever device.
///
/// Handlers run on the vCPU thread that made the request, outside every device lock. They must not block: note the
/// request and let the machine act on it.
package enum GuestRequest: Hashable, Sendable, CustomStringConvertible {
    /// Reset the machine (i8042 pulse, ACPI reset register).
    case reset
    /// Turn the machine off (ACPI sleep state S5).
    case powerOff
    /// End the machine with this exit status (exit-status port).
    case exit(UInt8)
    /// The guest's kernel has panicked (pvpanic).
    case panicked
    /// The guest's kernel has panicked and continues in its crash kernel (pvpanic).
    case crashLoaded
    /// The guest has set the lights of its keyboard, perhaps to the same value: bits 2:0 are Caps Lock, Num Lock, Scroll Lock.
    case keyboardLights(UInt8)
    /// The guest is about to turn itself off, in good order (pvpanic).
    case shutDown

    package var description: String {
        switch self {
        case .reset: "reset"
        case .powerOff: "power off"
        case .exit(let status): "exit with status \(status)"
        case .panicked: "kernel panic"
        case .crashLoaded: "kernel panic, crash kernel loaded"
        case .keyboardLights(let lights): "keyboard lights \(lights)"
        case .shutDown: "shutdown announced"
        }
    }
}

/// Takes the requests of a guest; see `GuestRequest` for where it runs.
package typealias GuestRequestHandler = @Sendable (GuestRequest) -> Void
