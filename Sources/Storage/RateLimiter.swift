// SPDX-License-Identifier: Apache-2.0

/// How fast a disk may be: what is `nil` is not limited.
package struct RateLimit: Codable, Hashable, Sendable {
    package var bytesPerSecond: UInt64?
    package var operationsPerSecond: UInt64?

    package init(bytesPerSecond: UInt64? = nil, operationsPerSecond: UInt64? = nil) {
        self.bytesPerSecond = bytesPerSecond
        self.operationsPerSecond = operationsPerSecond
    }
}

/// Limits bytes and operations a second by two token buckets, each of which holds what one second brings.
package struct RateLimiter: Sendable {
    package enum Verdict: Hashable, Sendable {
        case allowed
        /// Not before this time has passed.
        case wait(Duration)
    }

    private var bytes: TokenBucket?
    private var operations: TokenBucket?

    package init(_ limit: RateLimit) {
        bytes = limit.bytesPerSecond.map { TokenBucket(tokensPerSecond: $0) }
        operations = limit.operationsPerSecond.map { TokenBucket(tokensPerSecond: $0) }
    }

    /// Takes the tokens that a request needs, from both buckets or from none.
    ///
    /// - Parameters:
    ///   - byteCount: How many bytes the request moves.
    ///   - operationCount: How many operations it counts for.
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
        bytes?.take(byteCount)
        operations?.take(operationCount)
        return .allowed
    }
}

/// Tokens that come at a steady rate, up to what one second brings.
///
/// A request for more than that may start when the bucket is full, and leaves it in debt: so every request starts some
/// time, and the rate holds in the long run.
struct TokenBucket: Sendable {
    private let tokensPerSecond: Double
    private var tokens: Double
    private var filledAt: ContinuousClock.Instant?

    init(tokensPerSecond: UInt64) {
        self.tokensPerSecond = Double(max(1, tokensPerSecond))
        tokens = self.tokensPerSecond
    }

    /// How long until `count` tokens are there, or the bucket is full.
    mutating func wait(for count: UInt64, at now: ContinuousClock.Instant) -> Duration {
        if let filledAt, filledAt < now {
            tokens = min(tokensPerSecond, tokens + tokensPerSecond * ((now - filledAt) / .seconds(1)))
        }
        filledAt = now
        let missing = min(Double(count), tokensPerSecond) - tokens
        guard missing > 0 else { return .zero }
        // At least a nanosecond, so that to wait is to wait; rounded up, so that once is enough; at most 30 years.
        return .nanoseconds(Int64(min(missing / tokensPerSecond * 1e9, 1e18).rounded(.up)) + 1)
    }

    mutating func take(_ count: UInt64) {
        tokens -= Double(count)
    }
}
