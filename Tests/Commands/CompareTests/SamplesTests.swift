// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Compare

@Suite struct SamplesTests {
    static let medians: [([Double], Double)] = [([3, 1, 2], 2), ([4, 1, 2, 3], 2.5), ([7], 7)]

    @Test(arguments: medians)
    func `the median is the middle of the sorted samples`(values: [Double], median: Double) {
        #expect(Samples(values).median == median)
    }

    @Test func `the spread is half of the distance between the ends, as a part of the median`() {
        #expect(Samples([9, 10, 12]).relativeSpread == 0.15)
        #expect(Samples([5]).relativeSpread == 0)
    }

    @Test func `no samples have no median`() {
        #expect(Samples().median.isNaN)
    }
}
