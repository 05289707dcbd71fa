// SPDX-License-Identifier: Apache-2.0

/// What a process costs before it does anything.
enum ProcessStart: Benchmark {
    static let name = "process"
    static let summary = "start and end of `martlet --version`, of an empty Swift program and of an empty C program"

    static func run(_ context: BenchmarkContext) throws -> Report {
        let programs = [
            ("martlet --version", Command(context.martlet, ["--version"])),
            ("empty Swift program", Command(try context.sibling("empty-swift"))),
            ("empty C program", Command(try context.sibling("empty-c"))),
        ]
        let usages = try context.interleave(programs.map { name, command in (name, { try command.run() }) })
        var report = Report(benchmark: name)
        for (name, _) in programs {
            report.rows.append(Row("\(name), wall time", .seconds, Samples(usages[name], \.wallSeconds)))
            report.rows.append(Row("\(name), processor time", .seconds, Samples(usages[name], \.processorSeconds)))
        }
        return report
    }
}
