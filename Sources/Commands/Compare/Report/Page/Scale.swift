// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The scale of a chart: from zero on where values are alike, else with each step ten times the one before.
struct Scale {
    let isLogarithmic: Bool
    /// The values at its ends.
    private let lowest: Double
    private let highest: Double
    /// Values for lines across the chart: so few that their texts have room on a narrow screen.
    let ticks: [Double]

    /// The smallest scale that shows all values, none of them at its very beginning.
    ///
    /// - Parameter values: What is to be shown; what is not above zero has no place.
    init(_ values: [Double]) {
        let values = values.filter { $0 > 0 && $0.isFinite }
        let (least, most) = (values.min() ?? 1, values.max() ?? 1)
        isLogarithmic = most > least * 20
        if isLogarithmic {
            let first = Int((log10(least) - 0.05).rounded(.down))
            let last = max(first + 1, Int((log10(most) - 0.001).rounded(.up)))
            (lowest, highest) = (pow(10, Double(first)), pow(10, Double(last)))
            ticks = stride(from: first, through: last, by: max(1, (last - first + 4) / 5)).map { pow(10, Double($0)) }
        } else {
            // 1, 2 or 5 times a power of ten, so that there are four to eight of them.
            let power = pow(10, (log10(most) - 1).rounded(.down))
            let step = [1.0, 2, 5, 10, 20, 50].map { $0 * power }.first { most / $0 <= 6 } ?? most
            (lowest, highest) = (0, most * 1.02)
            ticks = Array(stride(from: 0, through: most * 1.02, by: step))
        }
    }

    /// The place of a value, from 0 to 1.
    func position(_ value: Double) -> Double {
        guard value > 0 else { return 0 }
        let part = isLogarithmic ? log10(value / lowest) / log10(highest / lowest) : value / highest
        return min(1, max(0, part))
    }
}

extension Double {
    /// As a coordinate in per cent.
    var percent: String { Unit.digits(self * 100, places: 2).filter { $0 != "," } + "%" }
}
