// SPDX-License-Identifier: Apache-2.0

/// Memory over the number of instances: measured points, and the straight line through them.
struct GrowthChart {
    private static let height = 260
    private let growth: [Section.Growth]

    init(_ growth: [Section.Growth]) {
        self.growth = growth.filter { !$0.loads.isEmpty }
    }

    var text: String {
        let bytes = growth.flatMap { $0.loads.map(\.byteCount) }
        guard let most = growth.flatMap({ $0.loads.map(\.instances) }).max(), most > 1 else { return "" }
        let scale = Scale(bytes)
        func x(_ instances: Int) -> Double { 0.02 + 0.94 * Double(instances) / Double(most) }
        func y(_ byteCount: Double) -> Double { (1 - scale.position(byteCount)) * Double(Self.height) }
        var parts = scale.ticks.map { tick in
            let place = Unit.digits(y(tick), places: 1)
            return """
                <line class="grid" x1="0" x2="100%" y1="\(place)" y2="\(place)"/>\
                <text class="tick" x="0" y="\(Unit.digits(y(tick) - 4, places: 1))">\(HTML.escaped(Unit.bytes.text(tick)))</text>
                """
        }
        for instances in Set(growth.flatMap { $0.loads.map(\.instances) }).sorted() {
            parts.append(
                "<text class=\"tick\" x=\"\(x(instances).percent)\" y=\"\(Self.height + 18)\" text-anchor=\"middle\">\(instances)</text>"
            )
        }
        for one in growth {
            for (from, to) in zip(one.loads, one.loads.dropFirst()) {
                parts.append(
                    """
                    <line class="curve \(one.kind.rawValue)" x1="\(x(from.instances).percent)" x2="\(x(to.instances).percent)" \
                    y1="\(Unit.digits(y(from.byteCount), places: 1))" y2="\(Unit.digits(y(to.byteCount), places: 1))"/>
                    """
                )
            }
            for load in one.loads {
                let place = "cx=\"\(x(load.instances).percent)\" cy=\"\(Unit.digits(y(load.byteCount), places: 1))\""
                let title = "\(one.kind.name), \(load.instances): \(Unit.bytes.text(load.byteCount))"
                parts.append(
                    "<circle class=\"\(one.kind.rawValue)\" \(place) r=\"4\"><title>\(HTML.escaped(title))</title></circle>"
                )
            }
        }
        let items = growth.map { one in
            """
            <li><svg class="key" width="12" height="12"><rect class="\(one.kind.rawValue)" width="12" height="12" rx="2"/></svg> \
            <b>\(HTML.escaped(one.kind.name))</b> \(Unit.bytes.text(one.byteCountPerInstance)) for each further instance; about \
            \(Unit.count.text(one.limit)) would fit (extrapolated)</li>
            """
        }
        return """
            <figure>
            <figcaption>Memory of idle instances, by their number <span class="hint">\(scale.isLogarithmic ? "logarithmic scale" : "")</span></figcaption>
            <svg class="chart" height="\(Self.height + 24)" role="img" aria-label="Memory by number of instances; the table says the same">
            \(parts.joined(separator: "\n"))
            </svg>
            <ul class="key">\(items.joined(separator: "\n"))</ul>
            </figure>
            """
    }
}
