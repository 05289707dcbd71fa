// SPDX-License-Identifier: Apache-2.0

/// The tables for a terminal.
package struct TerminalReport {
    private let result: ComparisonResult
    private let width: Int

    package init(_ result: ComparisonResult, width: Int) {
        self.result = result
        self.width = min(max(width, 60), 150)
    }

    /// The whole report.
    package var text: String {
        var parts: [String] = []
        if !result.warnings.isEmpty {
            parts.append(result.warnings.map { wrapped($0, "! ") }.joined(separator: "\n"))
        }
        parts.append(heading)
        parts += result.sections.map(text)
        let verdict = Verdict(result).sentences
        if !verdict.isEmpty { parts.append((["VERDICT"] + verdict.map { wrapped($0, "* ") }).joined(separator: "\n")) }
        return parts.joined(separator: "\n\n") + "\n"
    }

    private var heading: String {
        let host = result.host
        var lines = [
            "\(host.date), Linux \(host.kernel), \(host.processorCount) × \(host.processor), "
                + Unit.bytes.text(host.memoryByteCount)
        ]
        lines += result.columns.filter { $0.problem == nil }.map { "\($0.kind.name): \($0.provider)" }
        if let workload = result.workload { lines.append("workload: \(workload)") }
        return lines.map { wrapped($0, "") }.joined(separator: "\n")
    }

    private func text(_ section: Section) -> String {
        var lines = [section.topic.title.uppercased(), wrapped(section.explanation, "")]
        lines += table(section)
        if !section.timeline.isEmpty { lines += ["", "The machine's time, in parts:"] + timeline(section.timeline) }
        for row in section.rows {
            if let note = row.note { lines.append(wrapped("\(row.title): \(note)", "  ")) }
        }
        return lines.joined(separator: "\n")
    }

    // MARK: - Tables

    private func table(_ section: Section) -> [String] {
        let kinds = result.kinds(of: section)
        guard !kinds.isEmpty else { return [] }
        let header = [""] + kinds.map(\.name)
        let body = section.rows.map { row in
            [row.title]
                + kinds.map { kind in
                    guard let cell = row.cells[kind] else { return "" }
                    guard kind != .process, let ratio = row.ratio(kind) else { return cell.text(row.unit) }
                    return cell.text(row.unit) + " = " + Unit.ratio.text(ratio)
                }
        }
        // The columns share what the titles leave, each no wider than it needs to be.
        let titleWidth = min(body.map { $0[0].count }.max() ?? 0, width / 3)
        let available = (width - titleWidth) / kinds.count - 2
        let widths =
            [titleWidth]
            + kinds.indices.map { index in
                min(available, ([header] + body).map { $0[index + 1].count }.max() ?? 0)
            }
        return ([header] + body).flatMap { cells in
            let wrapped = zip(cells, widths).map { lines(of: $0, width: $1) }
            return (0..<(wrapped.map(\.count).max() ?? 0)).map { index in
                zip(wrapped, widths).map { lines, width in
                    let text = index < lines.count ? lines[index] : ""
                    return text + String(repeating: " ", count: max(0, width - text.count))
                }.joined(separator: "  ").trimmedEnd
            }
        }
    }

    private func timeline(_ steps: [Section.Step]) -> [String] {
        let total = steps.reduce(0) { $0 + $1.seconds.median }
        let nameWidth = steps.map(\.name.count).max() ?? 0
        return steps.map { step in
            let part = total > 0 ? step.seconds.median / total : 0
            let bar = String(repeating: "#", count: max(1, Int((part * 30).rounded())))
            let name = step.name + String(repeating: " ", count: nameWidth - step.name.count)
            let mark = step.isDistorted ? " " + Cell.distortionMark : ""
            let text = Unit.seconds.text(step.seconds.median) + mark
            return "  \(name)  \(text)\(String(repeating: " ", count: max(0, 10 - text.count)))  \(bar)"
        }
    }

    // MARK: - Lines

    private func wrapped(_ text: String, _ bullet: String) -> String {
        lines(of: text, width: width - bullet.count).enumerated().map { index, line in
            (index == 0 ? bullet : String(repeating: " ", count: bullet.count)) + line
        }.joined(separator: "\n")
    }

    private func lines(of text: String, width: Int) -> [String] {
        var lines: [String] = []
        var line = ""
        for var word in text.split(separator: " ") {
            if !line.isEmpty, line.count + 1 + word.count > width {
                lines.append(line)
                line = ""
            }
            while line.isEmpty, word.count > max(width, 1) {
                lines.append(String(word.prefix(max(width, 1))))
                word = word.dropFirst(max(width, 1))
            }
            line += (line.isEmpty ? "" : " ") + word
        }
        return lines + (line.isEmpty ? [] : [line])
    }
}

extension String {
    fileprivate var trimmedEnd: String {
        String(reversed().drop { $0 == " " }.reversed())
    }
}
