// SPDX-License-Identifier: Apache-2.0

/// The findings of one comparison, in words: nothing that is not in its numbers.
struct Verdict {
    private let result: ComparisonResult

    init(_ result: ComparisonResult) {
        self.result = result
    }

    /// Sentence by sentence; what this host distorts is said first.
    var sentences: [String] {
        var sentences: [String] = []
        if hasDistortedNumbers {
            sentences.append(
                """
                This host interprets guest kernels. Everything below that has \(Cell.distortionMark) beside it measures that, \
                and does not hold for hosts with VT-x or AMD-V. Memory, sizes, isolation and the monitor's own start do.
                """
            )
        }
        return sentences
            + [
                startup, size, memory, density, work(.cpu), work(.syscalls), work(.disk), work(.network), kernel,
                isolation,
            ]
            .compactMap { $0 }
    }

    private var hasDistortedNumbers: Bool {
        result.sections.contains { section in
            section.rows.contains { row in row.cells.values.contains(where: \.isDistorted) }
        }
    }

    // MARK: - Sentences

    private var startup: String? {
        guard let row = row(.startup, "to the first output"), let words = comparison(row) else { return nil }
        var text = "Start-up to the first output: \(words)."
        if let monitor = result.section(.startup)?.timeline.first {
            text += " Of the machine's time its monitor took \(Unit.seconds.text(monitor.seconds.median))."
        }
        if let seconds = row.cells[.machine]?.median {
            let size = seconds >= 60 ? "minutes" : seconds >= 1 ? "seconds" : "milliseconds"
            text += " So the machine's start is a matter of \(size)\(mark(row))"
            text += seconds >= 60 ? "." : ", not of minutes."
        }
        if let restored = row.cells[.restored]?.median, let booted = row.cells[.machine]?.median, restored > 0 {
            text +=
                " From a snapshot it is there in \(value(row, .restored)), \(Unit.ratio.text(booted / restored)) faster"
            text +=
                row.cells[.container]?.median.map {
                    " and at \(Unit.ratio.text(restored / $0)) of the container's time"
                } ?? ""
            text += "."
        }
        return text
    }

    private var size: String? {
        guard let own = row(.size, "of its own"), let shared = row(.size, "shared") else { return nil }
        let parts = kinds(of: own).map { kind in
            let common = shared.cells[kind]?.median.map(Unit.bytes.text) ?? "nothing"
            return "\(kind.name) \(value(own, kind)) each and \(common) once for all"
        }
        guard !parts.isEmpty else { return nil }
        var text = "Disk: \(parts.joined(separator: "; "))."
        if let total = shared.cells[.machine]?.median {
            text += total < Double(1 << 30) ? " That is megabytes for the machine, not gigabytes:" : " For the machine:"
            text += " it needs a kernel and a monitor, not a distribution."
        }
        return text
    }

    private var memory: String? {
        guard let idle = row(.memory, "idle"), let words = comparison(idle) else { return nil }
        var text = "Memory while idle: \(words)."
        if let loaded = row(.memory, "with"), let freed = row(.memory, "after"),
            let high = loaded.cells[.machine]?.median, let low = freed.cells[.machine]?.median
        {
            let kept = low > high * 0.9
            text += " What the program gives back, the machine \(kept ? "keeps" : "gives back too")"
            text += " (\(Unit.bytes.text(high)) in use, \(Unit.bytes.text(low)) after)."
        }
        return text
    }

    private var density: String? {
        guard let growth = result.section(.density)?.growth, !growth.isEmpty else { return nil }
        let parts = growth.map {
            "\($0.kind.name) \(Unit.bytes.text($0.byteCountPerInstance)), so about \(Unit.count.text($0.limit))"
        }
        return
            "Each further instance takes: \(parts.joined(separator: "; ")) in this host's free memory (extrapolated)."
    }

    private func work(_ topic: Topic) -> String? {
        guard let section = result.section(topic) else { return nil }
        let parts: [String] = [EnvironmentKind.container, .machine].compactMap { kind in
            let ratios = section.rows.compactMap { $0.ratio(kind) }
            guard let low = ratios.min(), let high = ratios.max() else { return nil }
            let isDistorted = section.rows.contains { $0.cells[kind]?.isDistorted == true }
            let range =
                low == high ? Unit.ratio.text(low) : "\(Unit.ratio.text(low)) to \(Unit.ratio.text(high))"
            return "\(kind.name) \(range)\(isDistorted ? " " + Cell.distortionMark : "")"
        }
        guard !parts.isEmpty else { return nil }
        return "\(topic.title), as a multiple of the process's time: \(parts.joined(separator: "; "))."
    }

    private var kernel: String? {
        guard let row = row(.kernel, "boot id") else { return nil }
        func text(_ kind: EnvironmentKind) -> String? {
            if case .text(let text) = row.cells[kind]?.content { text } else { nil }
        }
        guard let host = text(.process) else { return nil }
        let parts: [String] = [EnvironmentKind.container, .machine].compactMap { kind in
            text(kind).map {
                "the \(kind.name) \($0 == host ? "runs on the host's kernel" : "has a kernel of its own")"
            }
        }
        return parts.isEmpty ? nil : "Kernel, by its boot id: \(parts.joined(separator: ", "))."
    }

    private var isolation: String? {
        guard let rows = result.section(.isolation)?.rows else { return nil }
        let parts: [String] = EnvironmentKind.allCases.compactMap { kind in
            let outcomes = rows.compactMap { $0.cells[kind]?.outcome }.filter { $0 != .notTried }
            guard !outcomes.isEmpty else { return nil }
            return "\(kind.name) \(outcomes.count { $0 == .reachedHost }) of \(outcomes.count)"
        }
        guard !parts.isEmpty else { return nil }
        return "Attempts that reached the host: \(parts.joined(separator: ", ")). A container's walls are rules of the "
            + "kernel that it shares with the host; a machine's are the processor's and the monitor's."
    }

    // MARK: - Words

    /// "process 1 ms, container 20 ms (20×), virtual machine 100 ms (100×)".
    private func comparison(_ row: Row) -> String? {
        let parts = kinds(of: row).map { kind in
            let ratio = kind == .process ? nil : row.ratio(kind)
            return "\(kind.name) \(value(row, kind))" + (ratio.map { " (\(Unit.ratio.text($0)))" } ?? "")
        }
        return parts.isEmpty ? nil : parts.joined(separator: ", ")
    }

    private func kinds(of row: Row) -> [EnvironmentKind] {
        EnvironmentKind.allCases.filter { row.cells[$0]?.median != nil }
    }

    private func value(_ row: Row, _ kind: EnvironmentKind) -> String {
        guard let cell = row.cells[kind], let median = cell.median else { return "?" }
        return row.unit.text(median) + (cell.isDistorted ? " \(Cell.distortionMark)" : "")
    }

    private func mark(_ row: Row) -> String {
        row.cells[.machine]?.isDistorted == true ? " \(Cell.distortionMark) here" : ""
    }

    private func row(_ topic: Topic, _ title: String) -> Row? {
        result.section(topic)?.rows.first { $0.title.hasPrefix(title) }
    }
}
