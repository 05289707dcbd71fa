// SPDX-License-Identifier: Apache-2.0

/// A whole boot of the default guest to the prompt of its shell.
enum BootTime: Benchmark {
    static let name = "boot"
    static let summary = "default guest to its shell, 128 MiB, one vCPU, against host-kvm/spike.c (--spike)"

    private static let prompt = "martlet:~# "
    /// The same for both, and what the host of the spike needs.
    private static let parameters =
        "console=ttyS0 reboot=t panic=-1 mitigations=off noxsave clearcpuid=erms,fsrm,popcnt rodata=off quiet"

    private enum Key: Hashable {
        case standard, martlet, spike
    }

    private struct Times {
        let wall: Double
        let processor: Double
    }

    static func run(_ context: BenchmarkContext) throws -> Report {
        let kernel = try context.image("vmlinux")
        let initrd = try context.image("initramfs.cpio")
        func toPrompt(_ command: Command) throws -> Times {
            let child = try ChildProcess(command)
            let wall = try child.waitForOutput(prompt)
            return Times(wall: wall, processor: try child.terminate().processorSeconds)
        }
        let standard = Command(context.martlet, ["run"], output: .piped)
        let martlet = Command(
            context.martlet,
            ["run", kernel, "--initrd", initrd, "--memory", "128M", "--cmdline-only", parameters],
            output: .piped
        )
        var measurements: [(Key, () throws -> Times)] = [
            (.standard, { try toPrompt(standard) }), (.martlet, { try toPrompt(martlet) }),
        ]
        var report = Report(benchmark: name)
        if let spike = context.spike {
            // The spike writes whole lines only; a prompt is none.
            let command = Command("stdbuf", ["-o0", spike, kernel, initrd, parameters, "128"], output: .piped)
            measurements.append((.spike, { try toPrompt(command) }))
        } else {
            report.notes.append("no --spike: nothing to compare with")
        }
        let times = try context.interleave(hasTrialRound: false, measurements)
        func wall(_ key: Key) -> Samples { Samples(times[key], \.wall) }
        func processor(_ key: Key) -> Samples { Samples(times[key], \.processor) }
        report.rows = [
            Row("shell, Martlet as users start it", .seconds, wall(.standard)),
            Row("processor time, Martlet as users start it", .seconds, processor(.standard)),
            Row("shell, Martlet, the spike's parameters", .seconds, wall(.martlet)),
            Row("processor time, Martlet, the spike's parameters", .seconds, processor(.martlet)),
        ]
        guard context.spike != nil else { return report }
        report.rows += [
            Row("shell, spike", .seconds, wall(.spike)),
            Row("processor time, spike", .seconds, processor(.spike)),
            Row("shell, Martlet / spike", .ratio, wall(.martlet) / wall(.spike), atMost: 1.0),
            Row("processor time, Martlet / spike", .ratio, processor(.martlet) / processor(.spike)),
        ]
        return report
    }
}
