// SPDX-License-Identifier: Apache-2.0

import Machine

/// What a user should know of this host before the guest starts.
enum HostNote {
    /// The line, on hosts that need one.
    static func current(_ configuration: MachineConfiguration) -> String? {
        guard InterpretedHost.isThisHost else { return nil }
        let line = "no VT-x or AMD-V here: KVM interprets guest kernel code, which makes it slow"
        guard !configuration.isCommandLineComplete else { return line }
        return line + "; added for that: " + InterpretedHost.kernelParameters.joined(separator: " ")
    }
}
