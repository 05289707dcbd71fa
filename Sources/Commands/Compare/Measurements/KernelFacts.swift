// SPDX-License-Identifier: Apache-2.0

/// The kernel that a program runs on, and what that kernel tells it.
struct KernelFacts {
    let context: MeasurementContext

    private static let plans: [(name: String, title: String, note: String?)] = [
        ("release", "kernel (uname -r)", nil),
        ("version", "its build (uname -v)", nil),
        ("boot-id", "boot id", "made by a kernel once when it starts: the same id is the same running kernel."),
        ("uptime", "up for", nil),
        ("hostname", "host name", nil),
        ("processors", "processors it may use", nil),
        ("memory", "memory it sees", nil),
        ("processes", "processes it sees", nil),
        ("command-line", "kernel command line it sees", nil),
        ("kernel-log", "last line of the kernel's log", nil),
    ]

    func section() throws(ComparisonError) -> Section {
        let plans = Self.plans.map { MeasurementContext.Plan(title: $0.title, note: $0.note) }
        let rows = try context.rows(plans) { environment throws(ComparisonError) in
            var facts: [String: String] = [:]
            let patience = context.patience(environment.kind)
            let instance = try environment.run(Job("facts"), within: patience) { line in
                let words = line.text.split(separator: " ", maxSplits: 1).map(String.init)
                if words.count == 2 { facts[words[0]] = words[1] }
            }
            guard !facts.isEmpty else { throw .unexpected(instance.explanation(instead: "any output")) }
            return Self.plans.map { Self.cell($0.name, facts) }
        }
        return Section(
            topic: .kernel,
            explanation: "What uname, /proc and the system calls tell the same program in each environment.",
            rows: rows
        )
    }

    private static func cell(_ name: String, _ facts: [String: String]) -> Cell {
        guard let value = facts[name] else {
            let error = facts["\(name)-error"].flatMap { CInt($0) }
            return .text(error.map { "refused (\(ErrorName.text($0)))" } ?? "hidden")
        }
        switch name {
        case "uptime":
            let seconds = value.split(separator: " ").first.flatMap { Double($0) } ?? 0
            return .text(seconds > 7200 ? "\(Unit.digits(seconds / 3600, places: 1)) h" : Unit.seconds.text(seconds))
        case "memory":
            let kibibytes = value.split(separator: " ").dropFirst().first.flatMap { Double($0) } ?? 0
            return .text(Unit.bytes.text(kibibytes * 1024))
        default:
            // The kernel may have put anything into its log.
            let printable = value.filter { $0 >= " " }
            return .text(printable.count > 90 ? printable.prefix(90) + "…" : printable)
        }
    }
}

/// The names that C gives to errors.
enum ErrorName {
    private static let names: [CInt: String] = [
        1: "EPERM", 2: "ENOENT", 3: "ESRCH", 5: "EIO", 6: "ENXIO", 8: "ENOEXEC", 11: "EAGAIN", 12: "ENOMEM",
        13: "EACCES",
        14: "EFAULT", 16: "EBUSY", 17: "EEXIST", 19: "ENODEV", 22: "EINVAL", 28: "ENOSPC", 30: "EROFS", 38: "ENOSYS",
    ]

    /// The name of an error, or its number.
    static func text(_ error: CInt) -> String { names[error] ?? "error \(error)" }
}
