// SPDX-License-Identifier: Apache-2.0

import Host
import SystemPackage

/// The attempts of a program to see and change its host: they really happen, as root inside each environment.
///
/// None of them changes the host: a module that is none, a clock set to what it shows, limits with a bound of their own. A
/// kernel is crashed in a machine only.
struct IsolationProbes {
    /// The limits of container and machine, and where the program stops by itself where nothing stops it.
    static let memoryLimit = 64 << 20
    static let memoryBound = 160
    static let processLimit = 64
    static let processBound = 200

    let context: MeasurementContext

    func section() throws(ComparisonError) -> Section {
        var rows = try attempts()
        rows.append(try processes())
        rows.append(try memory())
        rows.append(try crash())
        return Section(
            topic: .isolation,
            explanation: """
                Attempts that really ran, as root of each environment; what each cell says was its outcome here. The process \
                is root of the host where martlet runs as root.
                """,
            rows: rows
        )
    }

    // MARK: - What one program tries after the other

    /// The result of a system call: a number that it found, and 0 or the error.
    struct Answer {
        let number: Int
        let error: CInt
    }

    private static let plans = [
        MeasurementContext.Plan(
            title: "see the host's processes",
            note: "it looks through /proc for this comparison's own command."
        ),
        .init(
            title: "load a kernel module",
            note:
                "init_module with 64 bytes that are no module: a kernel that would load one finds fault with the bytes only."
        ),
        .init(title: "read the kernel's log", note: "syslog(2)."),
        .init(
            title: "change the clock",
            note: "adjtimex(2) with the frequency that the clock has already: the right is tried, nothing changes."
        ),
        .init(
            title: "read the host's disk",
            note:
                "it makes a device node with the numbers of the disk that holds the work folder, opens it and reads 512 bytes."
        ),
        .init(
            title: "reach the kernel's emergency keys",
            note:
                "it opens /proc/sysrq-trigger, through which one letter crashes or resets a kernel, and writes nothing."
        ),
    ]

    private func attempts() throws(ComparisonError) -> [Row] {
        // Without a number the attempt fails, and says so.
        let disk = (try? FilePath(context.place.folder.path).stat())?.deviceID
        return try context.rows(Self.plans) { environment throws(ComparisonError) in
            let place: Job.Word = environment.kind == .machine ? "/tmp" : .dataFolder
            let job = Job(
                "probes",
                "compare",
                "\(disk?.major ?? 0)",
                "\(disk?.minor ?? 0)",
                place,
                needsData: environment.kind != .machine
            )
            var answers: [String: Answer] = [:]
            let instance = try environment.run(job, within: context.patience(environment.kind)) { line in
                let words = line.text.split(separator: " ")
                guard words.count == 3, let number = Int(words[1]), let error = CInt(words[2]) else { return }
                answers[String(words[0])] = Answer(number: number, error: error)
            }
            guard !answers.isEmpty else { throw .unexpected(instance.explanation(instead: "any answer")) }
            return ["processes", "module", "kernel-log", "clock", "disk", "sysrq"].map { name in
                answers[name].map { Self.cell(name, $0, environment.kind) } ?? .missing("no answer")
            }
        }
    }

    static func cell(_ name: String, _ answer: Answer, _ kind: EnvironmentKind) -> Cell {
        let isMachine = kind == .machine
        let owner = isMachine ? "its own" : "the host's"
        let error = ErrorName.text(answer.error)
        let reached: Cell.Outcome = isMachine ? .contained : .reachedHost
        switch name {
        case "processes":
            // The second number is how many of the host's it knew.
            if answer.error > 0 {
                return .attempt(.reachedHost, "yes: it sees \(answer.number), the host's among them")
            }
            return .attempt(
                .contained,
                "no: it sees \(answer.number), all of them \(isMachine ? "its kernel's" : "its own")"
            )
        case "module":
            switch answer.error {
            case 38: return .attempt(.contained, "no: this kernel takes no modules (ENOSYS)")
            case 1: return .attempt(.contained, "refused (EPERM)")
            default: return .attempt(reached, "it may: \(owner) kernel found fault with the bytes only (\(error))")
            }
        case "kernel-log":
            guard answer.error == 0 else { return .attempt(.contained, "refused (\(error))") }
            return .attempt(reached, "yes: \(answer.number) bytes of \(owner) kernel's log")
        case "clock":
            guard answer.error == 0 else { return .attempt(.contained, "refused (\(error))") }
            return .attempt(reached, "it may: \(owner) clock")
        case "disk":
            guard answer.error == 0 else {
                let why = answer.error == 6 ? "no such disk here (ENXIO)" : "refused (\(error))"
                return .attempt(.contained, why)
            }
            return .attempt(.reachedHost, "yes: it read 512 bytes of it")
        default:
            switch answer.error {
            case 0:
                return .attempt(reached, "yes: it opened those of \(owner) kernel\(isMachine ? "" : "; not pressed")")
            case 2: return .attempt(.contained, "no: this kernel has none (ENOENT)")
            default: return .attempt(.contained, "refused (\(error))")
            }
        }
    }

    // MARK: - Limits

    private func processes() throws(ComparisonError) -> Row {
        let plan = MeasurementContext.Plan(
            title: "use up process numbers",
            note: """
                it starts processes that wait, until it may not or has \(Self.processBound). The container's limit is \
                \(Self.processLimit) (pids cgroup); a machine needs none: its processes are its own kernel's.
                """
        )
        return try row(plan) { environment throws(ComparisonError) in
            var limits = Job.Limits()
            if environment.kind == .container { limits.processCount = Self.processLimit }
            let instance = try environment.launch(Job("fork-until", "\(Self.processBound)", limits: limits))
            defer { instance.end() }
            let line = try instance.expectLine("forked ", within: context.patience(environment.kind))
            let words = line.text.split(separator: " ").compactMap { Int($0) }
            guard words.count == 2 else { throw .unexpected("it said \"\(line.text)\"") }
            let stopped = words[1] != 0
            let error = ErrorName.text(CInt(words[1]))
            if environment.kind == .machine {
                let seen = instance.processes.count
                let own = stopped ? "\(words[0]), then its own kernel refused (\(error))" : "\(words[0]) of its own"
                return .attempt(.contained, "\(own); the host has \(seen) more, the monitor")
            }
            if stopped { return .attempt(.contained, "stopped at \(words[0]) (\(error))") }
            return .attempt(.reachedHost, "nothing stopped it: \(words[0]) of the host's process numbers")
        }
    }

    private func memory() throws(ComparisonError) -> Row {
        let limit = Self.memoryLimit >> 20
        let plan = MeasurementContext.Plan(
            title: "use more memory than it may",
            note: """
                it touches memory until it is stopped or has \(Self.memoryBound) MiB. The container's cgroup allows \(limit) \
                MiB, and the machine has \(limit) MiB.
                """
        )
        return try row(plan) { environment throws(ComparisonError) in
            var limits = Job.Limits()
            if environment.kind != .process { limits.memoryByteCount = Self.memoryLimit }
            var touched = 0
            let job = Job("touch-until", "\(Self.memoryBound)", limits: limits)
            let instance = try environment.run(job, within: context.patience(environment.kind)) { line in
                touched = line.text.split(separator: " ").last.flatMap { Int($0) } ?? touched
            }
            if touched >= Self.memoryBound {
                return .attempt(.reachedHost, "nothing stopped it: \(touched) MiB of the host's memory")
            }
            guard let status = instance.programStatus, status == 137 else {
                throw .unexpected(instance.explanation(instead: "being stopped"))
            }
            let who = environment.kind == .machine ? "its own kernel" : "the host's kernel"
            return .attempt(.contained, "killed by \(who) after \(touched) MiB")
        }
    }

    // MARK: - The crash

    private func crash() throws(ComparisonError) -> Row {
        let plan = MeasurementContext.Plan(
            title: "crash its kernel",
            note: """
                written to /proc/sysrq-trigger in a machine only, with a second machine beside it that prints a line each \
                200 ms. Process and container have the host's kernel: there the same letter would end everything.
                """
        )
        return try row(plan) { environment throws(ComparisonError) in
            guard environment.kind == .machine else {
                return .attempt(.notTried, "no: it would be the host's kernel")
            }
            let patience = context.patience(.machine)
            let neighbour = try environment.launch(Job("beat"))
            defer { neighbour.end() }
            let victim = try environment.launch(Job("crash"))
            defer { victim.end() }
            try neighbour.expectLine("beat 1", within: patience)
            try victim.expectLine("crashing", within: patience)
            let ending = try victim.waitForEnd(within: patience)
            guard ending.status == 2 else {
                throw .unexpected("the monitor ended with status \(ending.status), not 2 as after a panic")
            }
            // Only lines that came after the end count.
            var beats = 0
            while beats < 3 {
                let line = try neighbour.expectLine("beat ", within: patience)
                if line.time > ending.time { beats += 1 }
            }
            return .attempt(
                .contained,
                "its kernel panicked and its monitor ended with status 2; the machine beside it went on (\(beats) more lines seen)"
            )
        }
    }

    private func row(
        _ plan: MeasurementContext.Plan,
        _ body: (any ComparedEnvironment) throws(ComparisonError) -> Cell
    ) throws(ComparisonError) -> Row {
        let rows = try context.rows([plan]) { environment throws(ComparisonError) in
            context.say(environment.kind, plan.title)
            return [try body(environment)]
        }
        return rows[0]
    }
}
