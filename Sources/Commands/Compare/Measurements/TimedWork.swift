// SPDX-License-Identifier: Apache-2.0

/// Work that the program itself times, by the clock of its kernel, in rounds.
struct TimedWork {
    let context: MeasurementContext

    /// A row, and the name under which the program reports it.
    private struct Kind {
        let name: String
        let plan: MeasurementContext.Plan

        init(_ name: String, _ title: String, _ unit: Unit = .seconds) {
            self.name = name
            plan = .init(title: title, unit: unit, involvesGuestKernel: true, largerIsBetter: unit == .bytesPerSecond)
        }
    }

    /// User-mode work.
    func processor() throws(ComparisonError) -> Section {
        let kinds = [Kind("cpu", "fifty million steps of arithmetic")]
        return Section(
            topic: .cpu,
            explanation: """
                Arithmetic that touches no memory and makes no system call, by one thread. Container and machine run it on \
                the processor itself, so the ratio should be near 1; what is above it are neighbours, and the timer interrupts \
                of the machine's kernel, up to a hundred a second while a program runs.
                """,
            rows: try rows(kinds, Job("cpu", "\(context.options.repetitions)"))
        )
    }

    func systemCalls() throws(ComparisonError) -> Section {
        let kinds = [
            Kind("getppid", "getppid"),
            Kind("open", "open and close a folder"),
            Kind("fork", "start a process and wait for it"),
        ]
        return Section(
            topic: .syscalls,
            explanation: """
                Time of one call, over as many as take 50 ms. A container's calls go to the host's kernel through its seccomp \
                filter; a machine's go to its own kernel and never leave the machine.
                """,
            rows: try rows(kinds, Job("syscalls", "\(context.options.repetitions)"))
        )
    }

    func disk() throws(ComparisonError) -> Section {
        let kinds = [
            Kind("fsync", "write 4 KiB and fdatasync"),
            Kind("write", "write and fsync, in sequence", .bytesPerSecond),
            Kind("read", "read, in sequence", .bytesPerSecond),
        ]
        return Section(
            topic: .disk,
            explanation: """
                Files in the same folder of the host's disk: the process directly, the container by a bind mount, the machine \
                in an ext4 of its own on virtio-block (direct: past the host's page cache). Blocks of 256 KiB for the \
                sequences, at most 64 MiB; reads go past the page cache (O_DIRECT). Ratios say how much slower.
                """,
            rows: try rows(kinds, Job("disk", .dataFolder, "\(context.options.repetitions)", needsData: true))
        )
    }

    /// TCP to a server of the host.
    func network() throws(ComparisonError) -> Section {
        let kinds = [
            Kind("connect", "connect, and get a byte"),
            Kind("request", "send 64 bytes and get them back"),
            Kind("send", "send in sequence", .bytesPerSecond),
            Kind("receive", "receive in sequence", .bytesPerSecond),
        ]
        return Section(
            topic: .network,
            explanation: """
                TCP to a server on the host: the process by the loopback interface, the container by a veth pair, the machine by \
                a TAP, both with an MTU of 1500 and all of it in network namespaces of their own. No bridge, address translation \
                or rule is on the way, which container engines have. Sequences for 0.3 s in blocks of 256 KiB.
                """,
            rows: try networkRows(kinds)
        )
    }

    private func networkRows(_ kinds: [Kind]) throws(ComparisonError) -> [Row] {
        var job = Job("network", .serverAddress, .text(ComparedNetwork.port), "\(context.options.repetitions)")
        do throws(ComparisonError) {
            job.network = try context.makeNetwork()
        } catch {
            if case .interrupted = error { throw error }
            return try context.rows(kinds.map(\.plan)) { _ throws(ComparisonError) in throw error }
        }
        return try rows(kinds, job)
    }

    private func rows(_ kinds: [Kind], _ job: Job) throws(ComparisonError) -> [Row] {
        try context.rows(kinds.map(\.plan)) { environment throws(ComparisonError) in
            var samples: [String: Samples] = [:]
            var problem: String?
            let instance = try environment.run(job, within: context.patience(environment.kind)) { line in
                let words = line.text.split(separator: " ").map(String.init)
                guard words.count == 3, let first = Double(words[1]), let second = Double(words[2]) else {
                    problem = line.text
                    return
                }
                let unit = kinds.first { $0.name == words[0] }?.plan.unit
                let value = unit == .bytesPerSecond ? second / (first * 1e-9) : first * 1e-9 / second
                samples[words[0], default: Samples()].append(value)
                context.say(environment.kind, "\(words[0]) \(samples[words[0]]?.values.count ?? 0)")
            }
            guard instance.programStatus == 0 else {
                throw .unexpected(problem ?? instance.explanation(instead: "a result"))
            }
            return kinds.map { kind in
                samples[kind.name].map { Cell(content: .samples($0)) } ?? .missing("nothing was reported")
            }
        }
    }
}
