// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc
import JSON
import Host
import Synchronization
import TestSupport

/// Uses machines by their names in every way and in random order, from several threads, while one of their processes
/// is killed every second.
final class MachineStress: Sendable {
    private struct State {
        var problems: [String] = []
        /// The number of times that each thing was done, and that each message came.
        var counts: [String: Int] = [:]
        var mostAtOnce = 0
        /// The longest time that each thing took.
        var slowest: [String: Duration] = [:]
        var isOver = false
    }

    private enum Operation: String, CaseIterable {
        case start, attach, pause, resume, inspect, ps, stats, logs, stop, kill, wait, rm, force
    }

    private static let workerCount = 4
    /// The errors that a command may report because others use the same machines.
    private static let expectedErrors = [
        "there is no machine", "there is a machine", "has ended", "died, see", "runs: stop it first",
        "is not supported before starting", "the machine is not running", "was removed just now",
        "Martlet is shutting down.",
    ]
    private let runtime: String
    private let names: [String]
    private let state = Mutex(State())

    /// - Parameters:
    ///   - runtime: The folder of the machines.
    ///   - machineCount: How many names there are.
    init(runtime: String, machineCount: Int) {
        self.runtime = runtime
        names = (0..<machineCount).map { "m\($0)" }
    }

    // MARK: - Running

    /// Starts all machines, and then does anything with them.
    func run(for duration: Duration, seed: UInt64) {
        let workers = DispatchGroup()
        inParallel(workers) { [self] worker in
            for index in names.indices where index % Self.workerCount == worker { start(names[index]) }
        }
        workers.wait()
        let deadline = Deadline(after: duration)
        inParallel(workers) { [self] worker in
            var generator = SeededGenerator(seed: seed &* 1000 &+ UInt64(worker))
            while !deadline.hasPassed {
                let name = names[Int.random(in: names.indices, using: &generator)]
                // Half of all, so that there are always many machines.
                let isStart = Bool.random(using: &generator)
                let operation = Operation.allCases[Int.random(in: Operation.allCases.indices, using: &generator)]
                perform(isStart ? .start : operation, name, &generator)
            }
        }
        let killer = DispatchGroup()
        DispatchQueue(label: "killer").async(group: killer) { [self] in
            var generator = SeededGenerator(seed: seed)
            while !state.withLock({ $0.isOver }) {
                let monitors = monitors()
                state.withLock { $0.mostAtOnce = max($0.mostAtOnce, monitors.count) }
                if let victim = monitors.randomElement(using: &generator) {
                    Glibc.kill(victim, SIGKILL)
                    count("process killed")
                }
                sleep(1)
            }
        }
        workers.wait()
        state.withLock { $0.isOver = true }
        killer.wait()
    }

    private func inParallel(_ group: DispatchGroup, _ body: @escaping @Sendable (Int) -> Void) {
        for worker in 0..<Self.workerCount {
            DispatchQueue(label: "worker \(worker)").async(group: group) { body(worker) }
        }
    }

    /// The processes of the machines, by the path of their sockets.
    func monitors() -> [pid_t] {
        let processes = ((try? FolderListing.names(in: "/proc")) ?? []).compactMap { pid_t($0) }
        return processes.filter { process in
            let line = String(decoding: (try? FileContents.read("/proc/\(process)/cmdline")) ?? [], as: UTF8.self)
            return line.contains("martlet-monitor") && line.contains("\0\(runtime)/")
        }
    }

    /// Removes all machines, also those that run.
    ///
    /// - Returns: The names that are still listed then.
    func removeAll() throws -> [String] {
        _ = perform(["rm", "--all", "--force"], "all")
        let result = try martlet(["ps", "--all", "--quiet"]).runToEnd()
        return result.text.split(separator: "\n").map(String.init)
    }

    /// Kills what a failure has left.
    func clear() {
        for process in monitors() { Glibc.kill(process, SIGKILL) }
        _ = try? martlet(["rm", "--all", "--force"]).runToEnd()
    }

    // MARK: - Operations

    private func perform(_ operation: Operation, _ name: String, _ generator: inout SeededGenerator) {
        switch operation {
        case .start:
            // Only what has ended goes away by that.
            perform(["rm", name], name)
            start(name)
        case .attach: attach(name, leaving: Bool.random(using: &generator))
        case .pause, .resume, .logs, .rm: perform([operation.rawValue, name], name)
        case .kill:
            perform(["kill", name], name)
        case .wait: wait(name)
        case .stop: perform(["stop", "--timeout", "1", name], name)
        case .force: perform(["rm", "--force", name], name)
        case .inspect: check(perform(["inspect", name], name)) { value in self.check(state: value["state"]) }
        case .stats: check(perform(["stats", "--json", name], name)) { $0["vcpus"].elements.count == 1 }
        case .ps:
            check(perform(["ps", "--all", "--json"], "all")) { value in
                value.elements.allSatisfy { self.check(state: $0["state"]) && self.names.contains($0["name"].string) }
            }
        }
    }

    /// Waits for an end, and sees to it that there is one.
    private func wait(_ name: String) {
        attempt("wait") {
            try with(Martlet(["wait", name])).run { waiting in
                repeat {
                    perform(["kill", name], name)
                } while (try? waiting.process.wait(within: .seconds(1))) == nil
                judge(try waiting.end(), "wait", name, [.exited(0), .exited(1), .exited(2)])
            }
        }
    }

    private func start(_ name: String) {
        perform(Martlet(image: TinyELF([.write("ready"), .halt]), ["--name", name, "--detach"]), "start", name)
    }

    @discardableResult
    private func perform(_ arguments: [String], _ name: String, statuses: Set<CInt> = [0, 1]) -> Martlet.Result? {
        perform(Martlet(arguments), arguments[0], name, statuses: statuses)
    }

    @discardableResult
    private func perform(
        _ martlet: Martlet,
        _ operation: String,
        _ name: String,
        statuses: Set<CInt> = [0, 1]
    ) -> Martlet.Result? {
        attempt(operation) {
            let result = try with(martlet).runToEnd()
            judge(result, operation, name, statuses.map { .exited($0) })
            return result
        }
    }

    /// Comes to a console, and leaves it in an orderly way or by a terminal that vanishes.
    private func attach(_ name: String, leaving: Bool) {
        attempt("attach") {
            try with(Martlet(["attach", name]).onTerminal).run { attached in
                // Where there is no such machine, or it ends just now, there is less to see.
                if (try? attached.messages.read(until: "attached to \(name)")) != nil {
                    _ = try? attached.output.read(until: "ready", within: .seconds(5))
                    if leaving { try? attached.input.write("\u{1}d") } else { attached.terminal?.hangUp() }
                }
                let end = leaving ? [] : [ChildProcess.Termination.signaled(SIGHUP)]
                judge(try attached.end(), "attach", name, [.exited(0), .exited(1)] + end)
            }
        }
    }

    private func with(_ martlet: Martlet) -> Martlet {
        var copy = martlet
        copy.environment["MARTLET_RUNTIME_DIR"] = runtime
        return copy
    }

    private func martlet(_ arguments: [String]) -> Martlet { with(Martlet(arguments)) }

    @discardableResult
    private func attempt<R>(_ what: String, _ body: () throws -> R) -> R? {
        let start = ContinuousClock.now
        defer {
            let time = ContinuousClock.now - start
            state.withLock { $0.slowest[what] = max($0.slowest[what] ?? .zero, time) }
        }
        do {
            return try body()
        } catch {
            report("\(what): \(error)")
            return nil
        }
    }

    // MARK: - Judging

    private func judge(
        _ result: Martlet.Result,
        _ operation: String,
        _ name: String,
        _ terminations: [ChildProcess.Termination]
    ) {
        count("\(operation) \(result.termination)")
        for line in result.messages.split(whereSeparator: \.isNewline) {
            count("\(operation): \(line.replacing(name, with: "NAME").replacing(runtime, with: "FOLDER"))")
            if !line.hasPrefix("martlet: "), !Self.expectedErrors.contains(where: { line.contains($0) }) {
                report("\(operation) \(name): \(line)")
            }
        }
        if !terminations.contains(result.termination) {
            report("\(operation) \(name): \(result.termination) \(result.text) \(result.messages)")
        }
    }

    private func check(_ result: Martlet.Result?, _ isAsExpected: (JSONValue) -> Bool) {
        guard let result, result.termination == .exited(0) else { return }
        if let value = try? JSONValue(parsing: result.output), isAsExpected(value) { return }
        report("what is this? \(result.text)")
    }

    private func check(state: JSONValue) -> Bool {
        count("state \(state.string)")
        // A host that is too slow for a machine's answer within ps's time says so.
        return ["running", "paused", "configuring", "unreachable", "ended", "died"].contains(state.string)
    }

    private func count(_ what: String) {
        state.withLock { $0.counts[what, default: 0] += 1 }
    }

    private func report(_ problem: String) {
        state.withLock { $0.problems.append(problem) }
    }

    var problems: [String] { state.withLock { $0.problems } }

    /// A summary for people.
    var report: String {
        let state = state.withLock { $0 }
        let counts = state.counts.sorted { $0.key < $1.key }.map { "\($0.value) x \($0.key)" }
        let slowest = state.slowest.sorted { $0.key < $1.key }.map { "\($0.key): at most \($0.value)" }
        return (["\(state.mostAtOnce) machines at once"] + counts + slowest).joined(separator: "\n")
    }
}

extension JSONValue {
    fileprivate subscript(name: String) -> JSONValue {
        if case .object(let object) = self { object[name] ?? .null } else { .null }
    }

    fileprivate var elements: [JSONValue] {
        if case .array(let elements) = self { elements } else { [] }
    }

    fileprivate var string: String {
        if case .string(let text) = self { text } else { "" }
    }
}
