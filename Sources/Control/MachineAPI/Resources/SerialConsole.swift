// SPDX-License-Identifier: Apache-2.0

import JSON
import Storage

/// `/serial`: where the serial console's output goes.
struct SerialConsole: Hashable, Sendable {
    var outputPath: String?
    /// A token for each byte that the guest sends; what is beyond is dropped.
    var rateLimit: RateLimit.Bucket?

    init() {}

    init(_ value: JSONValue) throws(APIError) {
        self = try inAPITerms { () throws(JSONError) in
            var fields = try JSONFields(value, of: "serial")
            var console = SerialConsole()
            console.outputPath = try fields.optional("serial_out_path", .path)
            console.rateLimit = try fields.optionalObject("rate_limiter")
                .flatMap { f throws(JSONError) in try RateLimit.Bucket.reading(f) }
            try fields.finish()
            return console
        }
    }

    var json: JSONValue {
        var object: JSONObject = [:]
        if let outputPath { object["serial_out_path"] = .string(outputPath) }
        if let rateLimit { object["rate_limiter"] = rateLimit.json }
        return .object(object)
    }
}
