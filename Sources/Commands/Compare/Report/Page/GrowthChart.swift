// SPDX-License-Identifier: Apache-2.0

/// Memory over the number of instances: what was measured, and a dashed line on to where the host would be full.
///
/// Both scales are logarithmic, so that one instance and the host's limit are on one chart.
struct GrowthChart {
    private static let height = 280.0
    private static let top = 16.0
    private let growth: [Section.Growth]
    private let instanceScale: Scale
    private let byteScale: Scale

    init(_ growth: [Section.Growth]) {
        self.growth = growth.filter { !$0.loads.isEmpty }
        let loads = self.growth.flatMap(\.loads)
        // The chart begins at one instance: a scale keeps its smallest value off its beginning.
        let counts = loads.map { Double($0.instances) } + self.growth.map(\.limit)
        instanceScale = Scale([1.2, 1000] + counts.filter { $0 > 1 })
        byteScale = Scale(loads.map(\.byteCount) + self.growth.map(Self.byteCountAtLimit))
    }

    /// The straight line through the loads, at its end.
    private static func byteCountAtLimit(_ one: Section.Growth) -> Double {
        guard let last = one.loads.last else { return 0 }
        return last.byteCount + one.byteCountPerInstance * max(0, one.limit - Double(last.instances))
    }

    var text: String {
        guard growth.contains(where: { $0.loads.count > 1 }) else { return "" }
        let parts = grid + growth.flatMap(curve)
        return """
            <figure>
            <figcaption>Memory of idle instances, by their number <span class="hint">logarithmic scales; dashed: extrapolated, \
            up to the host's limit</span></figcaption>
            <svg class="chart" height="\(Int(Self.height + Self.top) + 24)" role="img" \
            aria-label="Memory by number of instances; the table says the same">
            \(parts.joined(separator: "\n"))
            </svg>
            <ul class="key">\(growth.map(item).joined(separator: "\n"))</ul>
            </figure>
            """
    }

    private func x(_ instances: Double) -> String {
        // The left tenth is for the numbers of the lines across.
        (0.11 + 0.86 * instanceScale.position(instances)).percent
    }

    private func y(_ byteCount: Double) -> String {
        Unit.digits(Self.top + (1 - byteScale.position(byteCount)) * Self.height, places: 1)
    }

    private var grid: [String] {
        let across = byteScale.ticks.map { tick in
            """
            <line class="grid" x1="0" x2="100%" y1="\(y(tick))" y2="\(y(tick))"/>\
            <text class="tick" x="0" dy="-4" y="\(y(tick))">\(HTML.escaped(Unit.bytes.tickText(tick)))</text>
            """
        }
        let along = instanceScale.ticks.map { tick in
            let anchor = instanceScale.position(tick) > 0.98 ? "end" : "middle"
            return """
                <text class="tick" x="\(x(tick))" y="\(Int(Self.top + Self.height) + 18)" text-anchor="\(anchor)">\
                \(HTML.escaped(Unit.count.text(tick)))</text>
                """
        }
        return across + along
    }

    private func curve(_ one: Section.Growth) -> [String] {
        var parts: [String] = []
        func line(_ from: (Double, Double), _ to: (Double, Double), _ style: String) {
            let place = "x1=\"\(x(from.0))\" y1=\"\(y(from.1))\" x2=\"\(x(to.0))\" y2=\"\(y(to.1))\""
            parts.append("<line class=\"curve \(one.kind.rawValue)\(style)\" \(place)/>")
        }
        for (from, to) in zip(one.loads, one.loads.dropFirst()) {
            line((Double(from.instances), from.byteCount), (Double(to.instances), to.byteCount), "")
        }
        if let last = one.loads.last, one.limit > Double(last.instances) {
            // Straight on these scales only far from its beginning: in steps that double.
            var from = (Double(last.instances), last.byteCount)
            while from.0 < one.limit {
                let instances = min(one.limit, from.0 * 2)
                let to = (instances, from.1 + one.byteCountPerInstance * (instances - from.0))
                line(from, to, " extrapolated")
                from = to
            }
            parts.append(circle(one.kind, from.0, from.1, " limit", "\(Unit.count.text(one.limit)), extrapolated"))
        }
        parts += one.loads.map { load in
            circle(
                one.kind,
                Double(load.instances),
                load.byteCount,
                "",
                "\(load.instances): \(Unit.bytes.text(load.byteCount))"
            )
        }
        return parts
    }

    private func circle(
        _ kind: EnvironmentKind,
        _ instances: Double,
        _ byteCount: Double,
        _ style: String,
        _ words: String
    ) -> String {
        """
        <circle class="\(kind.rawValue)\(style)" cx="\(x(instances))" cy="\(y(byteCount))" r="4">\
        <title>\(HTML.escaped("\(kind.name), \(words)"))</title></circle>
        """
    }

    private func item(_ one: Section.Growth) -> String {
        """
        <li><svg class="key" width="12" height="12"><rect class="\(one.kind.rawValue)" width="12" height="12" rx="2"/></svg> \
        <b>\(HTML.escaped(one.kind.name))</b> \(Unit.bytes.text(one.byteCountPerInstance)) for each further instance; about \
        \(Unit.count.text(one.limit)) would fit (extrapolated)</li>
        """
    }
}
