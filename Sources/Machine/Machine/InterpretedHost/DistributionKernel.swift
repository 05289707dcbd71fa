// SPDX-License-Identifier: Apache-2.0

import Host

/// The kernel parameters with which a distribution's kernel boots in a bearable time where KVM interprets it.
///
/// They are a choice, and not added by themselves: the guest's clock runs slower than the host's, and parts of the kernel
/// are left out. docs/guests.md has the savings of each.
package enum DistributionKernel {
    /// Initcalls that nothing needs to reach a login prompt and that are between 3 and 130 million instructions each: the
    /// tracer and kprobes, certificates that are compiled in, and BPF's type information.
    private static let needlessInitcalls = [
        "init_kprobes", "init_optprobes", "init_kprobe_trace", "trace_eval_init", "trace_eval_sync",
        "tracer_init_tracefs", "ftrace_check_for_weak_functions", "load_system_certificate_list",
        "load_revocation_certificate_list", "cubictcp_register", "bpf_tcp_ca_kfunc_init", "bpf_prog_test_run_init",
        "kfunc_init", "bpf_rstat_kfunc_init", "bpf_key_sig_kfuncs_init",
    ]

    /// The highest frequency of a time-stamp counter that Linux takes, in kHz: it keeps an eighth of it, in Hz, in 32 bits
    /// (arch/x86/kernel/apic/apic.c, `TSC_DIVISOR`).
    private static let highestKilohertz: UInt32 = 34_000_000

    /// The factor by which the guest's clock runs slower than the host's.
    ///
    /// Such a kernel has 250 ticks a second, of about 2,500 instructions each: on an interpreting host they alone take all
    /// the time there is.
    ///
    /// - Parameter timeStampKilohertz: The frequency of the guest's time-stamp counter in kHz.
    /// - Returns: At least 1.
    package static func clockDivisor(timeStampKilohertz: UInt32) -> UInt32 {
        max(1, highestKilohertz / max(1, timeStampKilohertz))
    }

    /// The parameters, for `--cmdline`.
    ///
    /// - Parameter timeStampKilohertz: As above; not 0.
    /// - Returns: Words that are separated by spaces, without quotes.
    package static func parameters(timeStampKilohertz: UInt32) -> String {
        let assumed = timeStampKilohertz &* clockDivisor(timeStampKilohertz: timeStampKilohertz)
        return [
            "quiet rodata=off mitigations=off highres=off noautogroup audit=0 apparmor=0 nowatchdog cryptomgr.notests",
            // A single list of which the last one counts, so Martlet's additions are repeated.
            "clearcpuid=avx512f,erms,fsrm,popcnt",
            "no-kvmclock tsc=reliable tsc_early_khz=\(assumed)",
            "initcall_blacklist=" + needlessInitcalls.joined(separator: ","),
        ]
        .joined(separator: " ")
    }

    /// The note before the boot of such a kernel; none for a kernel of another kind, or where the parameters are given.
    ///
    /// - Parameters:
    ///   - version: The version text of the kernel's image: "6.1.0-18-cloud-amd64 (debian-kernel@…) #1 SMP …".
    ///   - commandLine: The user's command line.
    /// - Returns: One line.
    static func note(version: String?, commandLine: String) -> String? {
        // Distributions add their own to the number: 6.8.0-45-generic, 5.14.0-427.el9.x86_64, 6.9.5-arch1-1.
        guard let release = version?.split(separator: " ").first, release.contains("-"),
            !commandLine.has("initcall_blacklist=")
        else { return nil }
        return
            "a distribution's kernel (\(release)) takes very long here; `martlet doctor` prints parameters that shorten it"
    }
}
