// SPDX-License-Identifier: Apache-2.0

/// One line of a result.
struct Row {
    /// What the numbers count.
    enum Unit: String {
        case seconds = "s"
        case bytes = "B"
        case bytesPerSecond = "B/s"
        case perSecond = "1/s"
        case ratio = "x"
    }

    let subject: String
    let unit: Unit
    let samples: Samples
    /// What the median may be at most; `nil` where nothing is demanded.
    var limit: Double?

    init(_ subject: String, _ unit: Unit, _ samples: Samples, atMost limit: Double? = nil) {
        self.subject = subject
        self.unit = unit
        self.samples = samples
        self.limit = limit
    }

    /// Whether the median is what is demanded.
    var isWithinLimit: Bool {
        limit.map { samples.median <= $0 } ?? true
    }

    /// The demand and whether it is met.
    var verdict: String {
        limit.map { "at most \(text($0)): \(isWithinLimit ? "yes" : "NO")" } ?? ""
    }

    /// `value` for people.
    func text(_ value: Double) -> String {
        let steps: [(scale: Double, suffix: String)] =
            switch unit {
            case .seconds: [(1, " s"), (1e-3, " ms"), (1e-6, " us"), (1e-9, " ns")]
            case .bytes: [(1_048_576, " MiB"), (1024, " KiB"), (1, " B")]
            case .bytesPerSecond: [(1e6, " MB/s"), (1e3, " kB/s"), (1, " B/s")]
            case .perSecond: [(1e6, " M/s"), (1e3, " k/s"), (1, " /s")]
            case .ratio: [(1, "x")]
            }
        let step = steps.first { abs(value) >= $0.scale } ?? steps[steps.count - 1]
        return Self.rounded(value / step.scale) + step.suffix
    }

    /// Three significant digits.
    private static func rounded(_ value: Double) -> String {
        guard value.isFinite else { return "-" }
        let factor = abs(value) >= 100 ? 1.0 : abs(value) >= 10 ? 10.0 : 100.0
        let scaled = (abs(value) * factor).rounded()
        let digits = factor == 1 ? 0 : factor == 10 ? 1 : 2
        let whole = Int(scaled / factor)
        let fraction = String(Int(scaled) - whole * Int(factor))
        let sign = value < 0 ? "-" : ""
        guard digits > 0 else { return "\(sign)\(whole)" }
        return "\(sign)\(whole)." + String(repeating: "0", count: digits - fraction.count) + fraction
    }
}
