// SPDX-License-Identifier: Apache-2.0

/// The cell of one environment in one row of a table.
struct Cell: Hashable, Sendable {
    enum Content: Hashable, Sendable {
        case samples(Samples)
        case text(String)
        /// The reason why there is nothing.
        case missing(String)
    }

    /// The result of an attempt to get out of an environment.
    enum Outcome: String, Hashable, Sendable {
        /// It was refused, or met something that belongs to the environment alone.
        case contained
        /// It reached the host, or would have.
        case reachedHost = "reached the host"
        /// It was too dangerous to try.
        case notTried = "not tried"
    }

    var content: Content
    /// Indicates whether this host distorts it: its KVM interprets guest kernel code.
    var isDistorted = false
    /// Calculated, not measured.
    var isExtrapolated = false
    /// For attempts to get out.
    var outcome: Outcome?

    static func samples(_ values: [Double]) -> Cell { Cell(content: .samples(Samples(values))) }
    static func text(_ text: String) -> Cell { Cell(content: .text(text)) }
    static func attempt(_ outcome: Outcome, _ text: String) -> Cell { Cell(content: .text(text), outcome: outcome) }
    static func missing(_ reason: String) -> Cell { Cell(content: .missing(reason)) }

    /// The number, if there is one.
    var median: Double? {
        if case .samples(let samples) = content, !samples.isEmpty { samples.median } else { nil }
    }

    /// Stands beside every number that an interpreting host distorts.
    static let distortionMark = "†"

    /// The words for a table's cell.
    func text(_ unit: Unit) -> String {
        let marks = (isDistorted ? " " + Self.distortionMark : "") + (isExtrapolated ? " (extrapolated)" : "")
        switch content {
        case .samples(let samples):
            let spread = samples.relativeSpread
            let part = samples.values.count > 1 ? " ±\(Unit.digits(spread * 100, places: 0))%" : ""
            return unit.text(samples.median) + part + marks
        case .text(let text): return text + marks
        case .missing(let reason): return "- (\(reason))"
        }
    }
}
