// SPDX-License-Identifier: Apache-2.0

/// The same thing, measured more than once.
struct Samples: Hashable, Sendable {
    private(set) var values: [Double]

    init(_ values: [Double] = []) {
        self.values = values
    }

    mutating func append(_ value: Double) {
        values.append(value)
    }

    var isEmpty: Bool { values.isEmpty }

    var median: Double {
        let sorted = values.sorted()
        guard !sorted.isEmpty else { return .nan }
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }

    var minimum: Double { values.min() ?? .nan }
    var maximum: Double { values.max() ?? .nan }

    /// Half of what lies between smallest and largest, as a part of the median.
    var relativeSpread: Double {
        median == 0 ? 0 : (maximum - minimum) / 2 / median
    }
}
