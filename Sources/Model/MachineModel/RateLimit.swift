// SPDX-License-Identifier: Apache-2.0

/// A limit of the speed of a device; what is `nil` is not limited.
///
///     drive.rateLimit = RateLimit(bytesPerSecond: 20 << 20, operationsPerSecond: 1000)
public struct RateLimit: Codable, Hashable, Sendable {
    /// Tokens that come at a steady rate: so many, over so long, and no more than that are saved up.
    public struct Bucket: Codable, Hashable, Sendable {
        /// The number of tokens in a full bucket, which come during ``refillMilliseconds``; 0 limits nothing.
        public var capacity: UInt64

        /// The time that an empty bucket takes to be full, in milliseconds; 0 limits nothing.
        public var refillMilliseconds: UInt64

        /// Tokens that are there once, at the beginning, besides.
        @DefaultWhenAbsent public var oneTimeBurst: UInt64

        enum CodingKeys: String, CodingKey {
            case capacity = "size"
            case oneTimeBurst = "one_time_burst"
            case refillMilliseconds = "refill_time"
        }

        /// Describes a bucket, which is full at the beginning.
        ///
        /// - Parameters:
        ///   - capacity: The number of tokens in a full bucket.
        ///   - refillMilliseconds: The time that an empty bucket takes to be full.
        ///   - oneTimeBurst: Tokens that are there once, at the beginning, besides.
        public init(capacity: UInt64, refillMilliseconds: UInt64 = 1000, oneTimeBurst: UInt64 = 0) {
            self.capacity = capacity
            self.refillMilliseconds = refillMilliseconds
            self.oneTimeBurst = oneTimeBurst
        }

        /// Indicates whether the bucket limits anything.
        package var isLimiting: Bool { capacity > 0 && refillMilliseconds > 0 }
    }

    /// A token for each byte, read and written together.
    public var bytes: Bucket?

    /// A token for each request.
    public var operations: Bucket?

    enum CodingKeys: String, CodingKey {
        case bytes = "bandwidth"
        case operations = "ops"
    }

    /// Limits a device by buckets of any size.
    ///
    /// - Parameters:
    ///   - bytes: A token for each byte.
    ///   - operations: A token for each request.
    public init(bytes: Bucket?, operations: Bucket?) {
        self.bytes = bytes
        self.operations = operations
    }

    /// Limits a device by rates: what one second allows may be used at once.
    ///
    /// - Parameters:
    ///   - bytesPerSecond: Bytes a second; `nil` for no limit.
    ///   - operationsPerSecond: Requests a second; `nil` for no limit.
    public init(bytesPerSecond: UInt64? = nil, operationsPerSecond: UInt64? = nil) {
        bytes = bytesPerSecond.map { Bucket(capacity: $0) }
        operations = operationsPerSecond.map { Bucket(capacity: $0) }
    }

    /// The limit after a PATCH: a bucket that the change leaves out stays, one that limits nothing removes a limit.
    ///
    /// - Returns: This limit with the new buckets in place of its own.
    package func changed(by change: RateLimit) -> RateLimit {
        func bucket(_ new: Bucket?, _ old: Bucket?) -> Bucket? { new.map { $0.isLimiting ? $0 : nil } ?? old }
        return RateLimit(bytes: bucket(change.bytes, bytes), operations: bucket(change.operations, operations))
    }
}
