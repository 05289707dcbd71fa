// SPDX-License-Identifier: Apache-2.0

import MachineModel
import Storage
import Testing

@Suite struct RateLimiterTests {
    private let start = ContinuousClock.now

    @Test func `a limiter without limits allows everything`() {
        var limiter = RateLimiter(RateLimit())
        #expect(limiter.take(bytes: .max, operations: .max, at: start) == .allowed)
        #expect(limiter.take(bytes: .max, operations: .max, at: start) == .allowed)
    }

    @Test func `what one second brings may come at once, and then at the rate`() {
        var limiter = RateLimiter(RateLimit(operationsPerSecond: 10))
        for _ in 0..<10 { #expect(limiter.take(bytes: 0, operations: 1, at: start) == .allowed) }
        guard case .wait(let delay) = limiter.take(bytes: 0, operations: 1, at: start) else {
            Issue.record("the eleventh was allowed")
            return
        }
        #expect(delay > .milliseconds(99) && delay < .milliseconds(101))
        #expect(limiter.take(bytes: 0, operations: 1, at: start + delay) == .allowed)
        #expect(limiter.take(bytes: 0, operations: 1, at: start + delay) != .allowed)
    }

    @Test func `a request larger than the bucket starts when it is full, and pays afterwards`() {
        var limiter = RateLimiter(RateLimit(bytesPerSecond: 1000))
        #expect(limiter.take(bytes: 5000, operations: 1, at: start) == .allowed)
        #expect(limiter.take(bytes: 1, operations: 1, at: start + .seconds(4)) != .allowed)
        #expect(limiter.take(bytes: 1, operations: 1, at: start + .milliseconds(4002)) == .allowed)
    }

    @Test func `neither bucket is touched by a request that the other refuses`() {
        var limiter = RateLimiter(RateLimit(bytesPerSecond: 100, operationsPerSecond: 1))
        #expect(limiter.take(bytes: 100, operations: 1, at: start) == .allowed)
        // Operations are there again, bytes are not.
        let later = start + .seconds(1)
        #expect(limiter.take(bytes: 50, operations: 1, at: later) == .allowed)
        #expect(limiter.take(bytes: 60, operations: 1, at: later + .milliseconds(50)) != .allowed)
        #expect(limiter.take(bytes: 60, operations: 1, at: later + .seconds(1)) == .allowed)
    }

    @Test(arguments: [UInt64(1), 7, 1000, .max])
    func `whoever waits as long as told is allowed, whatever the numbers`(rate: UInt64) {
        var limiter = RateLimiter(RateLimit(bytesPerSecond: rate))
        var now = start
        for size in [0, 1, 512, 1 << 20, UInt64.max] {
            if case .wait(let delay) = limiter.take(bytes: size, operations: 1, at: now) {
                #expect(delay > .zero)
                // A debt of 2^64 bytes at a byte a second outlives the machine: nothing to wait for here.
                guard delay < .seconds(1 << 32) else { return }
                now += delay
                #expect(limiter.take(bytes: size, operations: 1, at: now) == .allowed)
            }
        }
    }

    @Test func `a clock that stands still or goes back brings no tokens and no crash`() {
        var limiter = RateLimiter(RateLimit(operationsPerSecond: 1))
        #expect(limiter.take(bytes: 0, operations: 1, at: start) == .allowed)
        #expect(limiter.take(bytes: 0, operations: 1, at: start) != .allowed)
        #expect(limiter.take(bytes: 0, operations: 1, at: start - .seconds(100)) != .allowed)
    }
}
