// SPDX-License-Identifier: Apache-2.0

/// A page that shows a comparison with charts: one file, which loads nothing.
package struct HTMLReport {
    let result: ComparisonResult

    package init(_ result: ComparisonResult) {
        self.result = result
    }

    /// Writes the page and the data behind it.
    package func write(to folder: String) throws(ComparisonError) {
        try Self.prepare(folder)
        try Files.write(text.utf8, to: "\(folder)/index.html")
        try Files.write(JSONReport(result).text.utf8, to: "\(folder)/comparison.json")
    }

    /// Makes the folder, before minutes of measuring are spent for nothing.
    package static func prepare(_ folder: String) throws(ComparisonError) {
        try Files.makeFolder(folder)
        let trial = "\(folder)/.martlet-compare"
        try Files.write([], to: trial)
        Files.remove(trial)
    }

    /// The whole page.
    package var text: String {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>Process, container, virtual machine: a comparison</title>
        <style>
        \(HTMLStyle.text)
        </style>
        </head>
        <body>
        \(HTMLStyle.patterns)
        <main>
        <header>
        <h1>Process, container, virtual machine</h1>
        <p>The same program, run in three ways on one host, measured by <code>martlet compare</code>.</p>
        \(host)
        </header>
        \(warnings)
        \(verdict)
        \(result.sections.map(section).joined(separator: "\n"))
        <footer><p>Medians; ± is half of the distance between the smallest and the largest sample, as a part of the median. \
        Every sample is in comparison.json beside this page. How it is measured: docs/comparison.md of Martlet.</p></footer>
        </main>
        </body>
        </html>

        """
    }

    // MARK: - The beginning

    private var host: String {
        let host = result.host
        var facts = [
            (
                "Host",
                "\(host.processorCount) × \(host.processor), \(Unit.bytes.text(host.memoryByteCount)), Linux \(host.kernel)"
            ),
            ("Date", host.date),
        ]
        for column in result.columns where column.problem == nil {
            facts.append((column.kind.name.capitalisedStart, column.provider))
        }
        if let workload = result.workload { facts.append(("Workload", workload)) }
        let items = facts.map { "<div><dt>\(HTML.escaped($0.0))</dt><dd>\(HTML.escaped($0.1))</dd></div>" }
        return "<dl class=\"facts\">\(items.joined())</dl>"
    }

    private var warnings: String {
        result.warnings.map { "<p class=\"warning\" role=\"note\">\(HTML.escaped($0))</p>" }.joined(separator: "\n")
    }

    private var verdict: String {
        let sentences = Verdict(result).sentences.map { "<li>\(HTML.escaped($0))</li>" }
        return sentences.isEmpty
            ? "" : "<section><h2>Verdict</h2><ul>\(sentences.joined(separator: "\n"))</ul></section>"
    }

    // MARK: - Topics

    private func section(_ section: Section) -> String {
        var parts = ["<h2>\(HTML.escaped(section.topic.title))</h2>", "<p>\(HTML.escaped(section.explanation))</p>"]
        parts += charts(section)
        parts.append(HTMLTable(section: section, kinds: result.kinds(of: section)).text)
        let notes = section.rows.compactMap { row in
            row.note.map { "<li><b>\(HTML.escaped(row.title))</b>: \(HTML.escaped($0))</li>" }
        }
        if !notes.isEmpty { parts.append("<ul class=\"notes\">\(notes.joined())</ul>") }
        return "<section id=\"\(section.topic.rawValue)\">\n\(parts.joined(separator: "\n"))\n</section>"
    }

    private func charts(_ section: Section) -> [String] {
        switch section.topic {
        case .kernel, .isolation: return []
        case .density: return [GrowthChart(section.growth).text]
        case .startup:
            let bars = section.rows.filter { $0.unit == .seconds && $0.title.hasSuffix("first output") }
            return bars.map { BarChart(row: $0).text } + [TimelineChart(section.timeline).text]
        case .memory: return section.rows.prefix(1).map { BarChart(row: $0).text }
        case .size, .cpu: return section.rows.map { BarChart(row: $0).text }
        case .syscalls, .disk, .network: return section.rows.map { BarChart(row: $0).text }
        }
    }
}

/// Text in HTML and SVG.
enum HTML {
    /// Text in which nothing is taken for a tag or an entity, also between quotation marks.
    static func escaped(_ text: String) -> String {
        var escaped = ""
        for character in text {
            switch character {
            case _ where String(character) == Cell.distortionMark:
                // Never alone on a line of its own.
                if escaped.last == " " { escaped.removeLast() }
                escaped += "\u{a0}\(character)"
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            default: escaped.append(character)
            }
        }
        return escaped
    }
}

extension String {
    fileprivate var capitalisedStart: String { prefix(1).uppercased() + dropFirst() }
}
