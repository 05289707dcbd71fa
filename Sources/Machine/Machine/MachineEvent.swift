// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

/// What a running machine tells whoever started it, besides its outcome.
package enum MachineEvent: Sendable {
    /// The user typed a command that is the front end's to carry out, such as `help`.
    case command(EscapeFilter.Command)
    /// The terminal of the console is gone.
    case consoleHangUp
    /// Nothing can be written to the console's output any more; the guest goes on without.
    case consoleFailed(Errno)
}
