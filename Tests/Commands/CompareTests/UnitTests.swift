// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Compare

@Suite struct UnitTests {
    static let texts: [(Unit, Double, String)] = [
        (Unit.seconds, 12.3456, "12.3 s"), (.seconds, 0.000_272, "272 µs"), (.seconds, 2e-9, "2.00 ns"),
        (.seconds, 0, "0 ns"), (.bytes, 1536, "1.50 KiB"), (.bytes, 3 * 1_073_741_824, "3.00 GiB"),
        (.ratio, 41488, "41,488×"),
        (.ratio, 0.98, "0.98×"), (.count, 7, "7"), (.bytesPerSecond, 1.5e9, "1.50 GB/s"), (.seconds, .nan, "?"),
    ]

    @Test(arguments: texts)
    func `numbers have about three digits and a fitting unit`(unit: Unit, value: Double, text: String) {
        #expect(unit.text(value) == text)
    }

    @Test func `a chart's scale has round numbers without zeros`() {
        #expect(Unit.bytes.tickText(1e6) == "1 MB")
        #expect(Unit.seconds.tickText(0.01) == "10 ms")
        #expect(Unit.seconds.tickText(0.25) == "250 ms")
        #expect(Unit.bytes.tickText(0) == "0")
        #expect(Unit.count.tickText(1000) == "1000")
    }
}
