// SPDX-License-Identifier: Apache-2.0

import JSON
import Storage

/// The body of `PATCH /drives/{drive_id}`: what is changed of a disk while the guest uses it.
struct DriveChange: Hashable, Sendable {
    let identifier: String
    /// The same path as before has its size looked at again.
    var path: String?
    var rateLimit: RateLimit?

    init(_ value: JSONValue, at pathIdentifier: String) throws(APIError) {
        self = try inAPITerms { () throws(JSONError) in
            var fields = try JSONFields(value, of: "drive")
            var change = DriveChange(identifier: try fields.required("drive_id", .string))
            change.path = try fields.optional("path_on_host", .path)
            change.rateLimit = try fields.optionalObject("rate_limiter").map { f throws(JSONError) in try RateLimit(f) }
            try fields.finish()
            return change
        }
        try Drive.check(identifier, at: pathIdentifier)
        if let path { try MachineResources.checkReadable(path, "drive \(identifier)") }
    }

    private init(identifier: String) {
        self.identifier = identifier
    }
}
