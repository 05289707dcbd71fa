// SPDX-License-Identifier: Apache-2.0

/// Bars for one row, with each sample as a tick on its bar.
///
/// Coordinates are per cent of the width and plain pixels of the height, so that letters keep their size on any screen.
struct BarChart {
    let row: Row

    private static let rowHeight = 44

    var text: String {
        let kinds = EnvironmentKind.allCases.filter { (row.cells[$0]?.median ?? 0) > 0 }
        guard kinds.count > 1 else { return "" }
        let values = kinds.flatMap { kind -> [Double] in
            if case .samples(let samples) = row.cells[kind]?.content { samples.values } else { [] }
        }
        let scale = Scale(values)
        let height = kinds.count * Self.rowHeight
        var parts = grid(scale, height)
        for (index, kind) in kinds.enumerated() { parts += bar(kind, scale, y: index * Self.rowHeight) }
        let label = kinds.map { "\($0.name) \(row.cells[$0]?.text(row.unit) ?? "")" }.joined(separator: ", ")
        return """
            <figure>
            <figcaption>\(HTML.escaped(row.title)) <span class="hint">\(hint(scale))</span></figcaption>
            <svg class="chart" height="\(height + 24)" role="img" aria-label="\(HTML.escaped("\(row.title): \(label)"))">
            \(parts.joined(separator: "\n"))
            </svg>
            </figure>
            """
    }

    private func hint(_ scale: Scale) -> String {
        (scale.isLogarithmic ? "logarithmic scale; " : "")
            + (row.largerIsBetter ? "longer is better" : "shorter is better")
    }

    private func grid(_ scale: Scale, _ height: Int) -> [String] {
        scale.ticks.enumerated().map { index, tick in
            let x = scale.position(tick)
            let anchor = index == 0 ? "start" : x > 0.98 ? "end" : "middle"
            return """
                <line class="grid" x1="\(x.percent)" x2="\(x.percent)" y1="0" y2="\(height + 4)"/>\
                <text class="tick" x="\(x.percent)" y="\(height + 18)" text-anchor="\(anchor)">\(HTML.escaped(row.unit.tickText(tick)))</text>
                """
        }
    }

    private func bar(_ kind: EnvironmentKind, _ scale: Scale, y: Int) -> [String] {
        guard let cell = row.cells[kind], case .samples(let samples) = cell.content else { return [] }
        let width = scale.position(samples.median)
        let ratio = kind == .process ? nil : row.ratio(kind)
        let value = cell.text(row.unit) + (ratio.map { "  = \(Unit.ratio.text($0))" } ?? "")
        var parts = [
            "<text class=\"name\" x=\"0\" y=\"\(y + 15)\">\(HTML.escaped(kind.name))</text>",
            "<text class=\"value\" x=\"100%\" y=\"\(y + 15)\" text-anchor=\"end\">\(HTML.escaped(value))</text>",
            "<rect class=\"\(kind.rawValue)\" x=\"0\" y=\"\(y + 21)\" width=\"\(width.percent)\" height=\"14\" rx=\"2\"/>",
        ]
        if cell.isDistorted {
            let place = "x=\"0\" y=\"\(y + 21)\" width=\"\(width.percent)\" height=\"14\" rx=\"2\""
            parts.append("<rect fill=\"url(#distorted)\" \(place)/>")
        }
        if samples.values.count > 1 {
            parts += samples.values.map { sample in
                let x = scale.position(sample).percent
                return "<line class=\"sample\" x1=\"\(x)\" x2=\"\(x)\" y1=\"\(y + 19)\" y2=\"\(y + 37)\"/>"
            }
        }
        return parts
    }
}
