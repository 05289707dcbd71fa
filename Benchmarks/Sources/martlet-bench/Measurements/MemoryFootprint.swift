// SPDX-License-Identifier: Apache-2.0

/// What a machine of 1 vCPU and 128 MiB keeps in memory besides its guest's RAM, once its guest is at its prompt.
enum MemoryFootprint: Benchmark {
    static let name = "memory"
    static let summary = "resident memory that is not guest memory, API served, guest at its prompt, from smaps"

    static func run(_ context: BenchmarkContext) throws -> Report {
        let socket = context.folder.reserve("api.sock")
        let file = try context.folder.write(Array(try configuration(context).utf8), to: "machine.json")
        let served = Command(context.martlet, ["run", "--config", file, "--api-socket", socket], output: .piped)
        var total = Samples()
        var inProcess = Samples()
        var proportional = Samples()
        var own = Samples()
        var guest = Samples()
        var owners: [String: Samples] = [:]
        for _ in 0..<min(context.sampleCount, 3) {
            let memory = try atPrompt(served)
            total.append(memory.byteCount)
            proportional.append(memory.proportionalByteCount)
            own.append(memory.privateByteCount)
            guest.append(memory.guestByteCount)
            for (owner, byteCount) in memory.byteCounts { owners[owner, default: Samples()].append(byteCount) }
            inProcess.append(try atPrompt(Command(context.martlet, ["run"], output: .piped)).byteCount)
        }
        var report = Report(benchmark: name)
        report.rows.append(Row("resident, without guest memory", .bytes, total, atMost: Double(10 << 20)))
        for (owner, samples) in owners.sorted(by: { $0.value.median > $1.value.median }) {
            report.rows.append(Row("of that: \(owner)", .bytes, samples))
        }
        report.rows.append(Row("the same, shared pages counted in proportion", .bytes, proportional))
        report.rows.append(Row("the same, without what files hold as well", .bytes, own))
        report.rows.append(Row("guest memory", .bytes, guest))
        report.rows.append(Row("resident, `martlet run` without a name or a socket", .bytes, inProcess))
        report.notes.append("Cloud Hypervisor's ceiling for its own process is 10 MiB")
        return report
    }

    private static func atPrompt(_ command: Command) throws -> ResidentMemory {
        let child = try ChildProcess(command)
        try child.waitForOutput("martlet:~# ")
        return try ResidentMemory(process: child.identifier)
    }

    /// The default guest from its initramfs, with a disk and a source of entropy.
    private static func configuration(_ context: BenchmarkContext) throws -> String {
        """
        {"boot-source": {"kernel_image_path": "\(try context.image("vmlinux"))",
         "initrd_path": "\(try context.image("initramfs.cpio"))", "boot_args": "quiet rodata=off"},
         "drives": [{"drive_id": "data", "path_on_host": "\(try context.image("root.ext4"))",
         "is_root_device": false, "is_read_only": true}],
         "machine-config": {"vcpu_count": 1, "mem_size_mib": 128}, "entropy": {}}
        """
    }
}
