// SPDX-License-Identifier: Apache-2.0

import JSON
import Storage

/// `/entropy`: random numbers for the guest.
struct EntropySource: Hashable, Sendable {
    var rateLimit: RateLimit?

    init(_ value: JSONValue) throws(APIError) {
        rateLimit = try inAPITerms { () throws(JSONError) in
            var fields = try JSONFields(value, of: "entropy")
            let limit = try fields.optionalObject("rate_limiter").map { f throws(JSONError) in try RateLimit(f) }
            try fields.finish()
            return limit
        }
    }

    var json: JSONValue {
        rateLimit.map { ["rate_limiter": $0.json] } ?? [:]
    }
}
