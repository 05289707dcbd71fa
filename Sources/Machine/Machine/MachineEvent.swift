// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

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
