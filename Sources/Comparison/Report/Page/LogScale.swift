// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A scale on which each step is ten times the one before.
struct LogScale {
    /// The powers of ten at its ends.
    let lowest: Int
    let highest: Int

    /// The smallest scale that shows all values, none of them at its very beginning.
    ///
    /// - Parameter values: What is to be shown; what is not above zero has no place.
    init(_ values: [Double]) {
        let powers = values.filter { $0 > 0 && $0.isFinite }.map { log10($0) }
        lowest = Int(((powers.min() ?? 0) - 0.05).rounded(.down))
        highest = max(lowest + 1, Int(((powers.max() ?? 1) + 0.001).rounded(.up)))
    }

    /// Where a value is, from 0 to 1.
    func position(_ value: Double) -> Double {
        guard value > 0 else { return 0 }
        return min(1, max(0, (log10(value) - Double(lowest)) / Double(highest - lowest)))
    }

    /// Values for lines across the chart, at most eight.
    var ticks: [Double] {
        let step = max(1, (highest - lowest + 6) / 7)
        return stride(from: lowest, through: highest, by: step).map { pow(10, Double($0)) }
    }
}

extension Double {
    /// As a coordinate in per cent.
    var percent: String { Unit.digits(self * 100, places: 2).filter { $0 != "," } + "%" }
}
