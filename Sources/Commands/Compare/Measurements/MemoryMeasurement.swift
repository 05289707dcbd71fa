// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The memory of the host that one instance adds: idle, loaded, and after it has given its memory back.
struct MemoryMeasurement {
    private static let loadMebibytes = 32

    let context: MeasurementContext

    func section() throws(ComparisonError) -> Section {
        let load = Self.loadMebibytes
        var rows = try context.rows([
            .init(title: "idle", unit: .bytes),
            .init(title: "of it runtime or monitor", unit: .bytes),
            .init(title: "idle, by its cgroup", unit: .bytes),
            .init(title: "with \(load) MiB in use", unit: .bytes),
            .init(title: "after they are given back", unit: .bytes),
        ]) { environment throws(ComparisonError) in try idleAndLoaded(environment) }
        if context.options.workload != nil {
            rows += try context.rows([
                .init(
                    title: "workload: at its highest",
                    unit: .bytes,
                    note: "looked at every few milliseconds; what lasts shorter is not seen."
                )
            ]) { environment throws(ComparisonError) in [try peak(environment)] }
        }
        return Section(
            topic: .memory,
            explanation: """
                Proportional set size (PSS, /proc/PID/smaps_rollup) of the command and all it started: pages of its own, and \
                of shared ones its part. Kernel memory is not in it; a cgroup counts that too. A guest's kernel does not tell \
                the host what became free, so a machine keeps what it once used. Machines are here, and where many run, in \
                martlet-monitor, the process that machines with a name have; elsewhere in the command martlet run itself. For a user \
                who is not root they have no sandbox here, which hides their memory.
                """,
            rows: rows
        )
    }

    private func idleAndLoaded(_ environment: any ComparedEnvironment) throws(ComparisonError) -> [Cell] {
        let patience = context.patience(environment.kind)
        var (idle, own, group, loaded, freed) = (Samples(), Samples(), Samples(), Samples(), Samples())
        // A boot for each: three are enough to see the spread.
        let repetitions = min(3, context.options.repetitions)
        for number in 1...repetitions {
            context.say(environment.kind, "\(number) of \(repetitions)")
            let instance = try environment.launch(Job("memory", "\(Self.loadMebibytes)", isOneOfMany: true))
            defer { instance.end() }
            try instance.expectLine("idle", within: patience)
            let processes = instance.processes
            idle.append(MemoryUse.proportionalByteCount(processes))
            let command = instance.process.identifier
            switch environment.kind {
            case .process: break
            case .container: own.append(MemoryUse.proportionalByteCount([command]))
            case .machine, .restored:
                let all = MemoryUse.proportionalByteCount([command])
                own.append(max(0, all - MemoryUse.guestByteCount(command)))
            }
            if environment.kind == .container, let last = processes.last,
                let count = CGroup.memoryByteCount(of: last)
            {
                group.append(count)
            }
            instance.process.write("\n")
            try instance.expectLine("loaded", within: patience)
            loaded.append(MemoryUse.proportionalByteCount(processes))
            instance.process.write("\n")
            try instance.expectLine("freed", within: patience)
            freed.append(MemoryUse.proportionalByteCount(processes))
        }
        let reason = environment.kind == .container ? "it has none here" : "it is not put into one of its own"
        return [
            .init(content: .samples(idle)),
            own.isEmpty ? .text("none") : .init(content: .samples(own)),
            group.isEmpty ? .missing(reason) : .init(content: .samples(group)),
            .init(content: .samples(loaded)),
            .init(content: .samples(freed)),
        ]
    }

    /// The most that the workload takes at any time.
    private func peak(_ environment: any ComparedEnvironment) throws(ComparisonError) -> Cell {
        let instance = try environment.launch(Job(program: UserSpace.workload))
        defer { instance.end() }
        var highest = 0.0
        let deadline = Moment.now + context.patience(environment.kind)
        while !instance.process.hasEnded {
            guard Moment.now < deadline else { throw .late("the workload's end") }
            highest = max(highest, MemoryUse.proportionalByteCount(instance.processes))
            try instance.process.skipOutput(forMilliseconds: 5)
        }
        guard highest > 0 else { throw .unexpected("it ended before it was looked at") }
        return .samples([highest])
    }
}
