// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The names of signals, as images and users write them: `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`.
package enum SignalName {
    private static let numbers: [String: CInt] = [
        "HUP": SIGHUP, "INT": SIGINT, "QUIT": SIGQUIT, "ILL": SIGILL, "TRAP": SIGTRAP, "ABRT": SIGABRT, "BUS": SIGBUS,
        "FPE": SIGFPE, "KILL": SIGKILL, "USR1": SIGUSR1, "SEGV": SIGSEGV, "USR2": SIGUSR2, "PIPE": SIGPIPE,
        "ALRM": SIGALRM, "TERM": SIGTERM, "CHLD": SIGCHLD, "CONT": SIGCONT, "STOP": SIGSTOP, "TSTP": SIGTSTP,
        "TTIN": SIGTTIN, "TTOU": SIGTTOU, "URG": SIGURG, "XCPU": SIGXCPU, "XFSZ": SIGXFSZ, "VTALRM": SIGVTALRM,
        "PROF": SIGPROF, "WINCH": SIGWINCH, "IO": SIGIO, "PWR": SIGPWR, "SYS": SIGSYS,
    ]
    /// The first and the last real-time signal, as the C libraries count them.
    private static let (firstRealTime, lastRealTime): (CInt, CInt) = (34, 64)

    /// Reads a signal.
    ///
    /// - Parameter text: Its name, in any case and with or without SIG, or its number.
    /// - Returns: Its number, 1 to 64; `nil` for anything else.
    package static func number(_ text: String) -> CInt? {
        if let number = CInt(text) { return (1...lastRealTime).contains(number) ? number : nil }
        let upper = text.uppercased()
        let name = upper.hasPrefix("SIG") ? String(upper.dropFirst(3)) : upper
        if let number = numbers[name] { return number }
        for (prefix, base, sign) in [("RTMIN", firstRealTime, CInt(1)), ("RTMAX", lastRealTime, -1)]
        where name.hasPrefix(prefix) {
            let rest = name.dropFirst(prefix.count)
            guard !rest.isEmpty else { return base }
            guard rest.first == (sign > 0 ? "+" : "-"), let distance = CInt(rest.dropFirst()),
                (0...30).contains(distance)
            else { return nil }
            return base + sign * distance
        }
        return nil
    }
}
