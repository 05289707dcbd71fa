// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Storage

/// By a clock of the test's own, in microseconds.
@Suite struct CachedWriteBudgetTests {
    /// Writes as long as it may.
    private final class Writer {
        var budget = CachedWriteBudget()
        var time: UInt64 = 0
        var count = 0

        func write(_ number: Int, lasting microseconds: UInt64) {
            for _ in 0..<number {
                budget.spend(now: { time * 1000 }) {
                    time += microseconds
                    count += 1
                }
            }
        }
    }

    @Test func `writes that are copies are all made`() {
        let writer = Writer()
        for _ in 0..<100 {
            writer.budget.startCommit()
            writer.write(64, lasting: 30)
        }
        #expect(writer.count == 6400)
    }

    @Test func `after one that has waited the next ones are made elsewhere, then one is tried again`() {
        let writer = Writer()
        writer.budget.startCommit()
        writer.write(1, lasting: 1001)
        writer.write(64, lasting: 1)
        #expect(writer.count == 1)
        writer.budget.startCommit()
        writer.write(10, lasting: 1)
        #expect(writer.count == 11)
    }

    @Test func `one commit lasts no longer than two milliseconds and its last write`() {
        let writer = Writer()
        writer.budget.startCommit()
        writer.write(100, lasting: 900)
        #expect(writer.count == 3)
        writer.budget.startCommit()
        writer.write(100, lasting: 900)
        #expect(writer.count == 6)
    }
}
