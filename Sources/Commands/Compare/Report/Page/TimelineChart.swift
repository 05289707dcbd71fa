// SPDX-License-Identifier: Apache-2.0

/// The parts of a machine's time, one after the other on one line, and in a list with what each is.
struct TimelineChart {
    private let steps: [Section.Step]

    init(_ steps: [Section.Step]) {
        self.steps = steps
    }

    var text: String {
        let total = steps.reduce(0) { $0 + $1.seconds.median }
        guard total > 0 else { return "" }
        var start = 0.0
        var bars: [String] = []
        for (index, step) in steps.enumerated() {
            let width = step.seconds.median / total
            let place = "x=\"\(start.percent)\" y=\"2\" width=\"\(width.percent)\" height=\"32\""
            bars.append("<rect class=\"step\(index)\" \(place)><title>\(HTML.escaped(step.name))</title></rect>")
            if step.isDistorted { bars.append("<rect fill=\"url(#distorted)\" \(place)/>") }
            if width > 0.12 {
                let middle = (start + width / 2).percent
                bars.append(
                    "<text class=\"inside\" x=\"\(middle)\" y=\"23\" text-anchor=\"middle\">\(HTML.escaped(step.name))</text>"
                )
            }
            start += width
        }
        let items = steps.enumerated().map { index, step in
            let mark = step.isDistorted ? " " + Cell.distortionMark : ""
            return """
                <li><svg class="key" width="12" height="12"><rect class="step\(index)" width="12" height="12" rx="2"/></svg> \
                <b>\(HTML.escaped(step.name))</b> <span class="number">\(HTML.escaped(Unit.seconds.text(step.seconds.median) + mark))</span> \
                \(HTML.escaped(step.explanation))</li>
                """
        }
        return """
            <figure>
            <figcaption>The machine from the command to its end: <span class="number">\(Unit.seconds.text(total))</span> \
            <span class="hint">to scale</span>\
            </figcaption>
            <svg class="chart" height="36" role="img" aria-label="The machine's time in parts; the list below says the same">
            \(bars.joined(separator: "\n"))
            </svg>
            <ul class="key">\(items.joined(separator: "\n"))</ul>
            </figure>
            """
    }
}
