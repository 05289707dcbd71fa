// SPDX-License-Identifier: Apache-2.0

/// How fast a device may be: what is `nil` is not limited.
package struct RateLimit: Codable, Hashable, Sendable {
    /// Tokens that come at a steady rate: so many, over so long, and no more than that saved up.
    package struct Bucket: Codable, Hashable, Sendable {
        /// How many tokens there are at most, and how many come during `refillMilliseconds`.
        package var capacity: UInt64
        package var refillMilliseconds: UInt64
        /// Tokens that are there once, at the beginning, besides.
        package var oneTimeBurst: UInt64

        package init(capacity: UInt64, refillMilliseconds: UInt64 = 1000, oneTimeBurst: UInt64 = 0) {
            self.capacity = capacity
            self.refillMilliseconds = refillMilliseconds
            self.oneTimeBurst = oneTimeBurst
        }
    }

    /// A token for each byte.
    package var bytes: Bucket?
    /// A token for each request.
    package var operations: Bucket?

    package init(bytes: Bucket?, operations: Bucket?) {
        self.bytes = bytes
        self.operations = operations
    }

    /// Buckets that hold what one second brings.
    package init(bytesPerSecond: UInt64? = nil, operationsPerSecond: UInt64? = nil) {
        bytes = bytesPerSecond.map { Bucket(capacity: $0) }
        operations = operationsPerSecond.map { Bucket(capacity: $0) }
    }
}
