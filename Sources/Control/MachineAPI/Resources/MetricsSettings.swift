// SPDX-License-Identifier: Apache-2.0

import JSON

/// `/metrics`: where counters are written.
struct MetricsSettings: Hashable, Sendable {
    let path: String

    init(_ value: JSONValue) throws(APIError) {
        path = try inAPITerms { () throws(JSONError) in
            var fields = try JSONFields(value, of: "metrics")
            let path = try fields.required("metrics_path", .path)
            try fields.finish()
            return path
        }
    }

    var json: JSONValue { ["metrics_path": .string(path)] }
}
