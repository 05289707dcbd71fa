// SPDX-License-Identifier: Apache-2.0

/// The body of `PATCH /drives/{drive_id}`: changes of a disk while the guest uses it.
package struct DriveChange: Codable, Hashable, Sendable {
    package let id: String
    /// The file in the place of the old one; the same path has its size looked at again.
    package var path: String?
    /// New buckets; those that are left out stay.
    package var rateLimit: RateLimit?

    enum CodingKeys: String, CodingKey {
        case id = "drive_id"
        case path = "path_on_host"
        case rateLimit = "rate_limiter"
    }

    /// Indicates whether the change says nothing.
    package var isEmpty: Bool { path == nil && rateLimit == nil }

    /// Checks the change.
    package func validate() throws(ConfigurationError) {
        try Drive(id, path: path ?? "unchanged").validate()
    }

    /// Changes the description of a disk.
    package func apply(to drive: inout Drive) {
        if let path { drive.path = path }
        if let rateLimit { drive.rateLimit = (drive.rateLimit ?? RateLimit()).changed(by: rateLimit) }
    }
}
