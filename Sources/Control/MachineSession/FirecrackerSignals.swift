// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The signals that Firecracker handles (`signal_handler.rs`): by SIGINT, SIGTERM and SIGQUIT it ends as by default.
enum FirecrackerSignals {
    /// The exit status for each; SIGPIPE ends nothing.
    static let statuses: [CInt: CInt] = [
        // From outside; a system call that is refused has `Sandbox.refusedCallStatus`.
        SIGSYS: 2, SIGBUS: 149, SIGSEGV: 150, SIGXFSZ: 151, SIGXCPU: 154, SIGPIPE: 155, SIGHUP: 156, SIGILL: 157,
    ]

    /// Lets the signal have no effect by which Firecracker takes its vCPUs out of the guest: the first of musl's real-time signals.
    static func ignoreKick() { _ = Glibc.signal(35, SIG_IGN) }
}
