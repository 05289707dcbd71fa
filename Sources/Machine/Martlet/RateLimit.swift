// SPDX-License-Identifier: Apache-2.0

import Storage

/// How fast a device may be: what is `nil` is not limited.
///
///     disk.rateLimit = RateLimit(bytesPerSecond: 20 << 20, operationsPerSecond: 1000)
public struct RateLimit: Hashable, Sendable {
    /// Tokens that come at a steady rate: so many, over so long, and no more than that are saved up.
    public struct Bucket: Hashable, Sendable {
        /// How many tokens there are at most, and how many come during ``refillTime``; 0 counts as 1.
        public var capacity: UInt64

        /// How long an empty bucket takes to be full, in whole milliseconds, and one at least.
        public var refillTime: Duration

        /// Tokens that are there once, at the beginning, besides.
        public var initialBurst: UInt64

        /// Describes a bucket, which is full at the beginning.
        ///
        /// - Parameters:
        ///   - capacity: How many tokens there are at most.
        ///   - refillTime: How long an empty bucket takes to be full.
        ///   - initialBurst: Tokens that are there once, at the beginning, besides.
        public init(capacity: UInt64, refillTime: Duration = .seconds(1), initialBurst: UInt64 = 0) {
            self.capacity = capacity
            self.refillTime = refillTime
            self.initialBurst = initialBurst
        }

        var storageBucket: Storage.RateLimit.Bucket {
            // A thousand years are enough, and fit.
            let milliseconds = min(max(refillTime / .milliseconds(1), 1), 3e13)
            return .init(capacity: capacity, refillMilliseconds: UInt64(milliseconds), oneTimeBurst: initialBurst)
        }
    }

    /// A token for each byte, read and written together.
    public var bytes: Bucket?

    /// A token for each request.
    public var operations: Bucket?

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

    var storageLimit: Storage.RateLimit {
        Storage.RateLimit(bytes: bytes?.storageBucket, operations: operations?.storageBucket)
    }
}
