// SPDX-License-Identifier: Apache-2.0

/// The same thing, measured more than once.
struct Samples {
    private(set) var values: [Double] = []

    init(_ values: [Double] = []) {
        self.values = values
    }

    /// One number of each of `values`.
    init<Value>(_ values: [Value]?, _ number: (Value) -> Double) {
        self.values = (values ?? []).map(number)
    }

    mutating func append(_ value: Double) {
        values.append(value)
    }

    var median: Double {
        let sorted = values.sorted()
        guard !sorted.isEmpty else { return .nan }
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }

    var minimum: Double { values.min() ?? .nan }
    var maximum: Double { values.max() ?? .nan }

    /// Each value through `transform`.
    func map(_ transform: (Double) -> Double) -> Samples {
        Samples(values.map(transform))
    }

    /// Sample by sample, so that what slows the host down for a while slows both sides of a ratio.
    static func / (numerator: Samples, denominator: Samples) -> Samples {
        Samples(zip(numerator.values, denominator.values).map { $0 / $1 })
    }

    static func - (minuend: Samples, subtrahend: Samples) -> Samples {
        Samples(zip(minuend.values, subtrahend.values).map { $0 - $1 })
    }
}
