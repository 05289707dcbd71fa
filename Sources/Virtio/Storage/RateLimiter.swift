// SPDX-License-Identifier: Apache-2.0

package import MachineModel

/// Limits bytes and operations by two token buckets.
package struct RateLimiter: Sendable {
    package enum Verdict: Hashable, Sendable {
        case allowed
        /// The request must wait for this time.
        case wait(Duration)
    }

    private var bytes: TokenBucket?
    private var operations: TokenBucket?

    package init(_ limit: RateLimit) {
        bytes = limit.bytes.flatMap(TokenBucket.init)
        operations = limit.operations.flatMap(TokenBucket.init)
    }

    /// Takes the tokens that a request needs, from both buckets or from none.
    ///
    /// - Parameters:
    ///   - byteCount: The number of bytes that the request moves.
    ///   - operationCount: The number of operations that it counts for.
    ///   - now: Not earlier than at the last call.
    /// - Returns: Whether the request may start, or when it is worth to ask again.
    package mutating func take(
        bytes byteCount: UInt64,
        operations operationCount: UInt64,
        at now: ContinuousClock.Instant
    ) -> Verdict {
        let waits = [bytes?.wait(for: byteCount, at: now), operations?.wait(for: operationCount, at: now)]
        let wait = waits.compactMap(\.self).max() ?? .zero
        guard wait == .zero else { return .wait(wait) }
        charge(bytes: byteCount, operations: operationCount)
        return .allowed
    }

    /// Asks without taking anything, for a request whose size is known only when it is done.
    ///
    /// - Parameter now: Not earlier than at the last call.
    /// - Returns: The time until a token is available; nil where one is.
    package mutating func delay(at now: ContinuousClock.Instant) -> Duration? {
        let waits = [bytes?.wait(for: 1, at: now), operations?.wait(for: 1, at: now)]
        return waits.compactMap(\.self).max().flatMap { $0 == .zero ? nil : $0 }
    }

    /// Takes the tokens for finished work; debts are paid before anything else is allowed.
    package mutating func charge(bytes byteCount: UInt64, operations operationCount: UInt64) {
        bytes?.take(byteCount)
        operations?.take(operationCount)
    }
}

/// The tokens of a `RateLimit.Bucket`.
///
/// A request for more than the capacity may start when the bucket is full, and leaves it in debt: so every request starts
/// some time, and the rate holds in the long run.
package struct TokenBucket: Sendable {
    private let capacity: Double
    private let tokensPerSecond: Double
    private var tokens: Double
    /// The rest of the one-time burst, which is used up first.
    private var burst: Double
    /// Counted from `epoch`.
    ///
    /// An instant would have this type's size known only at run time, and every copy of it cost calls.
    private var filledAt: Duration?
    private static let epoch = ContinuousClock.now

    /// Makes a full bucket; `nil` for a description that limits nothing.
    package init?(_ bucket: RateLimit.Bucket) {
        guard bucket.isLimiting else { return nil }
        capacity = Double(bucket.capacity)
        tokensPerSecond = capacity * 1000 / Double(bucket.refillMilliseconds)
        tokens = capacity
        burst = Double(bucket.oneTimeBurst)
    }

    /// The time until `count` tokens are there, or the bucket is full.
    package mutating func wait(for count: UInt64, at now: ContinuousClock.Instant) -> Duration {
        let now = now - Self.epoch
        if let filledAt, filledAt < now {
            tokens = min(capacity, tokens + tokensPerSecond * ((now - filledAt) / .seconds(1)))
        }
        filledAt = now
        let missing = min(Double(count), capacity) - tokens - burst
        guard missing > 0 else { return .zero }
        // At least a nanosecond, so that to wait is to wait; rounded up, so that once is enough; at most 30 years.
        return .nanoseconds(Int64(min(missing / tokensPerSecond * 1e9, 1e18).rounded(.up)) + 1)
    }

    package mutating func take(_ count: UInt64) {
        let fromBurst = min(burst, Double(count))
        burst -= fromBurst
        tokens -= Double(count) - fromBurst
    }
}
