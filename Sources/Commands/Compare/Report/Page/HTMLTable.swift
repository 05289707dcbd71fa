// SPDX-License-Identifier: Apache-2.0

/// A topic's table; on narrow screens each row becomes a block, with the environments' names beside the values.
struct HTMLTable {
    let section: Section
    let kinds: [EnvironmentKind]

    var text: String {
        guard !section.rows.isEmpty else { return "" }
        let head = kinds.map { "<th scope=\"col\" class=\"\($0.rawValue)\">\(HTML.escaped($0.name))</th>" }.joined()
        let body = section.rows.map { row in
            "<tr><th scope=\"row\">\(HTML.escaped(row.title))</th>" + kinds.map { cell(row, $0) }.joined() + "</tr>"
        }
        return """
            <table>
            <thead><tr><td></td>\(head)</tr></thead>
            <tbody>
            \(body.joined(separator: "\n"))
            </tbody>
            </table>
            """
    }

    private func cell(_ row: Row, _ kind: EnvironmentKind) -> String {
        let label = "data-label=\"\(HTML.escaped(kind.name))\""
        guard let cell = row.cells[kind] else { return "<td \(label)></td>" }
        if let outcome = cell.outcome {
            let name = outcome == .reachedHost ? "reached" : outcome == .contained ? "contained" : "untried"
            let badge = "<span class=\"badge \(name)\">\(HTML.escaped(outcome.rawValue))</span> "
            return "<td \(label)>\(badge)\(HTML.escaped(cell.text(row.unit)))</td>"
        }
        if case .missing = cell.content {
            return "<td \(label) class=\"missing\">\(HTML.escaped(cell.text(row.unit)))</td>"
        }
        var text = HTML.escaped(cell.text(row.unit))
        if cell.median != nil { text = "<span class=\"number\">\(text)</span>" }
        if kind != .process, let ratio = row.ratio(kind) {
            text += " <span class=\"ratio\">\(HTML.escaped(Unit.ratio.text(ratio)))</span>"
        }
        return "<td \(label)>\(text)</td>"
    }
}
