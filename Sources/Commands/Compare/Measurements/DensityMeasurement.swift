// SPDX-License-Identifier: Apache-2.0

/// The growth of memory with the number of instances, and the number that would fit.
struct DensityMeasurement {
    let context: MeasurementContext

    func section() throws(ComparisonError) -> Section {
        let counts = context.options.instanceCounts
        let available = MemoryInformation.value("MemAvailable") ?? 0
        var growth: [Section.Growth] = []
        let plans =
            counts.map { MeasurementContext.Plan(title: $0 == 1 ? "1 instance" : "\($0) instances", unit: .bytes) } + [
                .init(title: "each further instance", unit: .bytes),
                .init(
                    title: "would fit",
                    hasRatio: false,
                    note: """
                        extrapolated: the \(Unit.bytes.text(available)) that were available, divided by what each further \
                        instance took, or the host's process numbers (pid_max, threads-max), if they end before. Kernel \
                        memory and processor time come on top, so this many is the most that can be hoped for.
                        """
                ),
            ]
        let rows = try context.rows(plans) { environment throws(ComparisonError) in
            let (loads, tasksPerInstance) = try loads(environment, counts, available)
            var one = Section.Growth(kind: environment.kind, loads: loads, byteCountPerInstance: 0, limit: 0)
            one.byteCountPerInstance = Self.slope(loads)
            let memoryLimit = one.byteCountPerInstance > 0 ? available / one.byteCountPerInstance : 0
            one.limit = min(memoryLimit, Self.taskLimit / max(1, tasksPerInstance)).rounded(.down)
            growth.append(one)
            var cells = counts.map { count in
                loads.first { $0.instances == count }.map { Cell.samples([$0.byteCount]) }
                    ?? .missing("not tried: it would take more than half of the memory that is available")
            }
            cells.append(.samples([one.byteCountPerInstance]))
            var limit = Cell.samples([one.limit])
            limit.isExtrapolated = true
            return cells + [limit]
        }
        return Section(
            topic: .density,
            explanation: """
                PSS of so many idle instances at the same time, all processes together: what instances share counts once in \
                the sum. A machine's guest memory is its own; nothing merges equal pages here (KSM is not used).
                """,
            rows: rows,
            growth: growth
        )
    }

    private func loads(
        _ environment: any ComparedEnvironment,
        _ counts: [Int],
        _ available: Double
    ) throws(ComparisonError) -> (loads: [Section.Load], tasksPerInstance: Double) {
        var instances: [Instance] = []
        defer { for instance in instances { instance.end() } }
        var loads: [Section.Load] = []
        var tasks = 0
        for count in counts {
            if let last = loads.last, last.byteCount / Double(last.instances) * Double(count) > available / 2 { break }
            context.say(environment.kind, "\(count) at the same time")
            // All of a step boot together; the later ones wait for the processors, not for this loop.
            let new = instances.count..<count
            for _ in new { instances.append(try environment.launch(Job("idle", isOneOfMany: true))) }
            for index in new {
                try instances[index].expectLine("ready", within: context.patience(environment.kind) * 2)
            }
            let processes = instances.flatMap(\.processes)
            loads.append(.init(instances: count, byteCount: MemoryUse.proportionalByteCount(processes)))
            tasks = processes.reduce(0) { $0 + Files.names(in: "/proc/\($1)/task").count }
        }
        return (loads, Double(tasks) / Double(max(1, instances.count)))
    }

    /// The number of processes and threads that the host's kernel allows.
    private static var taskLimit: Double {
        ["pid_max", "threads-max"].compactMap { name in
            (try? Files.text("/proc/sys/kernel/\(name)")).flatMap { Double($0.trimmed) }
        }.min() ?? .infinity
    }

    /// The memory that one more instance takes: the slope of the straight line that fits best (least squares).
    static func slope(_ loads: [Section.Load]) -> Double {
        guard loads.count > 1 else { return loads.first.map { $0.byteCount / Double($0.instances) } ?? 0 }
        let count = Double(loads.count)
        let meanInstances = loads.reduce(0) { $0 + Double($1.instances) } / count
        let meanBytes = loads.reduce(0) { $0 + $1.byteCount } / count
        let products = loads.reduce(0) { $0 + (Double($1.instances) - meanInstances) * ($1.byteCount - meanBytes) }
        let squares = loads.reduce(0) {
            $0 + (Double($1.instances) - meanInstances) * (Double($1.instances) - meanInstances)
        }
        return squares > 0 ? products / squares : 0
    }
}
