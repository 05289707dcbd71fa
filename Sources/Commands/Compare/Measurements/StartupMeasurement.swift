// SPDX-License-Identifier: Apache-2.0

/// The time from the decision to run a program to its first output, and to the end of everything.
struct StartupMeasurement {
    let context: MeasurementContext

    /// One start.
    private struct Sample {
        let started: Moment
        let firstOutput: Moment
        let ending: HostProcess.Ending
        let instance: Instance
    }

    func section() throws(ComparisonError) -> Section {
        var section = Section(
            topic: .startup,
            explanation: """
                From just before the command starts (the program; the runtime's run; martlet run) until this process reads the \
                program's first output, and until the command has ended. The program prints one line and ends.
                """
        )
        section.rows = try rows(Job("hello"), "", timeline: &section.timeline)
        if context.options.workload != nil {
            var unused: [Section.Step] = []
            section.rows += try rows(Job(program: UserSpace.workload), "workload: ", timeline: &unused)
        }
        return section
    }

    private func rows(
        _ job: Job,
        _ prefix: String,
        timeline: inout [Section.Step]
    ) throws(ComparisonError) -> [Row] {
        var steps: [Section.Step] = []
        let rows = try context.rows([
            .init(title: prefix + "to the first output", unit: .seconds, involvesGuestKernel: true),
            .init(title: prefix + "to the end", unit: .seconds, involvesGuestKernel: true),
            .init(
                title: prefix + "processor time of the host",
                unit: .seconds,
                involvesGuestKernel: true,
                note: "of the command and all that it waited for, as the host's kernel counts it."
            ),
        ]) { environment throws(ComparisonError) in
            var samples: [Sample] = []
            for number in 1...context.options.repetitions {
                context.say(environment.kind, "\(number) of \(context.options.repetitions)")
                samples.append(try sample(job, environment))
            }
            if environment.kind == .machine { steps = self.steps(samples) }
            return [
                .samples(samples.map { $0.firstOutput - $0.started }),
                .samples(samples.map { $0.ending.time - $0.started }),
                .samples(samples.map(\.ending.processorSeconds)),
            ]
        }
        timeline = steps
        return rows
    }

    private func sample(_ job: Job, _ environment: any ComparedEnvironment) throws(ComparisonError) -> Sample {
        let patience = context.patience(environment.kind)
        let instance = try environment.launch(job)
        defer { instance.end() }
        // A program that prints nothing has its end for its first output.
        let line = try instance.readLine(within: patience)
        while try instance.readLine(within: patience) != nil {}
        let ending = try instance.waitForEnd(within: patience)
        if line == nil, job.program == UserSpace.subject || instance.programStatus == nil {
            throw .unexpected(instance.explanation(instead: "any output"))
        }
        return Sample(
            started: instance.process.started,
            firstOutput: line?.time ?? ending.time,
            ending: ending,
            instance: instance
        )
    }

    /// The machine's time in parts that follow each other without gaps.
    private func steps(_ samples: [Sample]) -> [Section.Step] {
        var parts: [[Double]] = Array(repeating: [], count: 6)
        for sample in samples {
            let instance = sample.instance
            guard let ready = instance.processorReady, let initial = instance.event("i"),
                let program = instance.event("p")
            else { continue }
            // The kernel's clock said so much when the line was written: so long ago it began to run.
            let clockStart = max(ready, initial.time + -initial.number * 1e-9)
            let programStart = initial.time + (program.number - initial.number) * 1e-9
            let limits = [
                sample.started, ready, clockStart, max(clockStart, initial.time), min(programStart, sample.firstOutput),
                sample.firstOutput, sample.ending.time,
            ]
            for index in parts.indices { parts[index].append(max(0, limits[index + 1] - limits[index])) }
        }
        guard let count = parts.first?.count, count > 0 else { return [] }
        let isDistorted = context.host.interpretsGuestKernels
        let words: [(String, String, Bool)] = [
            ("monitor", "the monitor starts, makes the machine and puts the kernel into its memory", false),
            ("entry", "from the first instruction, without firmware, until the kernel's clock runs", true),
            ("kernel", "the kernel sets itself up and unpacks the archive, by its own clock", true),
            ("init", "the first process mounts /proc", true),
            ("program", "the program starts and prints", true),
            ("end", "the program ends, the kernel resets the machine, the monitor ends", true),
        ]
        return zip(words, parts).map { word, values in
            .init(
                name: word.0,
                seconds: Samples(values),
                explanation: word.1,
                isDistorted: isDistorted && word.2
            )
        }
    }
}
