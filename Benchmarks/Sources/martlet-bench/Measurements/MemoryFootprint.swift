// SPDX-License-Identifier: Apache-2.0

/// What a machine of 1 vCPU and 128 MiB keeps in memory besides its guest's RAM, once its guest is at its prompt.
enum MemoryFootprint: Benchmark {
    static let name = "memory"
    static let summary = "resident memory that is not guest memory, default guest at its prompt, from smaps"

    static func run(_ context: BenchmarkContext) throws -> Report {
        var total = Samples()
        var proportional = Samples()
        var own = Samples()
        var guest = Samples()
        var owners: [String: Samples] = [:]
        for _ in 0..<min(context.sampleCount, 3) {
            let child = try ChildProcess(Command(context.martlet, ["run"], output: .piped))
            try child.waitForOutput("martlet:~# ")
            let memory = try ResidentMemory(process: child.identifier)
            total.append(memory.byteCount)
            proportional.append(memory.proportionalByteCount)
            own.append(memory.privateByteCount)
            guest.append(memory.guestByteCount)
            for (owner, byteCount) in memory.byteCounts { owners[owner, default: Samples()].append(byteCount) }
        }
        var report = Report(benchmark: name)
        report.rows.append(Row("resident, without guest memory", .bytes, total))
        for (owner, samples) in owners.sorted(by: { $0.value.median > $1.value.median }) {
            report.rows.append(Row("of that: \(owner)", .bytes, samples))
        }
        report.rows.append(Row("the same, shared pages counted in proportion", .bytes, proportional))
        report.rows.append(Row("the same, without what files hold as well", .bytes, own))
        report.rows.append(Row("guest memory", .bytes, guest))
        report.notes.append("Cloud Hypervisor's ceiling for its own process is 10 MiB")
        return report
    }
}
