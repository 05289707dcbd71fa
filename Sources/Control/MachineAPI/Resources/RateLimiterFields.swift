// SPDX-License-Identifier: Apache-2.0

package import JSON
package import Storage

extension RateLimit {
    /// A `rate_limiter` of the API; a bucket of size 0, or that takes no time to fill, limits nothing.
    init(_ fields: consuming JSONFields) throws(JSONError) {
        self.init(
            bytes: try fields.optionalObject("bandwidth").flatMap { f throws(JSONError) in try Bucket.reading(f) },
            operations: try fields.optionalObject("ops").flatMap { f throws(JSONError) in try Bucket.reading(f) }
        )
        try fields.finish()
    }

    /// The `rate_limiter` of the API.
    package var json: JSONValue {
        ["bandwidth": bytes?.json ?? .null, "ops": operations?.json ?? .null]
    }
}

extension RateLimit.Bucket {
    /// A `TokenBucket` of the API.
    ///
    /// - Parameter fields: Those of the object.
    /// - Returns: `nil` where it limits nothing.
    /// - Throws: `JSONError` where it is no bucket.
    static func reading(_ fields: consuming JSONFields) throws(JSONError) -> Self? {
        let size = try fields.required("size", .integer(in: 0...Int64.max))
        let refillTime = try fields.required("refill_time", .integer(in: 0...Int64.max))
        let burst = try fields.optional("one_time_burst", .integer(in: 0...Int64.max)) ?? 0
        try fields.finish()
        guard size > 0, refillTime > 0 else { return nil }
        return Self(capacity: UInt64(size), refillMilliseconds: UInt64(refillTime), oneTimeBurst: UInt64(burst))
    }

    var json: JSONValue {
        [
            "size": .integer(Int64(clamping: capacity)), "one_time_burst": .integer(Int64(clamping: oneTimeBurst)),
            "refill_time": .integer(Int64(clamping: refillMilliseconds)),
        ]
    }
}
