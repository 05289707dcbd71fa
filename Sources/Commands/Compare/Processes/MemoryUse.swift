// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host

/// The memory of the host that processes take.
enum MemoryUse {
    /// The proportional set size of some processes: their own pages, and of each shared page their part of it.
    ///
    /// - Parameter processes: Which ones; those that have ended count nothing.
    /// - Returns: Bytes, from `/proc/PID/smaps_rollup`.
    static func proportionalByteCount(_ processes: [pid_t]) -> Double {
        processes.reduce(0) { $0 + value("Pss:", in: "/proc/\($1)/smaps_rollup") }
    }

    /// The part of a monitor's memory that is its guest's.
    ///
    /// - Returns: Bytes; 0 where no mapping looks like a guest's memory.
    static func guestByteCount(_ process: pid_t) -> Double {
        var total = 0.0
        var proportional = 0.0
        for line in ((try? Files.text("/proc/\(process)/smaps")) ?? "").split(separator: "\n") {
            if line.hasPrefix("Pss:") { proportional = kibibytes(line) * 1024 }
            // Martlet keeps guest memory out of core dumps ("dd"), also what comes from a snapshot's file. A monitor's text, which nobody
            // may write to ("wr"), has the same flag on every other piece (`ProcessMemory`).
            if line.hasPrefix("VmFlags:"), line.has(" dd"), line.has(" wr") { total += proportional }
        }
        return total
    }

    private static func value(_ name: String, in path: String) -> Double {
        for line in ((try? Files.text(path)) ?? "").split(separator: "\n") where line.hasPrefix(name) {
            return kibibytes(line) * 1024
        }
        return 0
    }

    private static func kibibytes(_ line: Substring) -> Double {
        line.split(separator: " ").dropFirst().first.flatMap { Double($0) } ?? 0
    }
}
