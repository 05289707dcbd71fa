// SPDX-License-Identifier: Apache-2.0

/// The file that counters are written to: `/metrics` of the API.
public struct MetricsSettings: Codable, Hashable, Sendable {
    /// The path of the file or named pipe.
    public var path: String

    /// Indicates whether each line has the name of the machine, as `id`.
    @DefaultWhenAbsent public var showsIdentifier: Bool

    /// Words of the operator's that each line repeats, as `properties`; `nil` for none.
    public var properties: [String: String]?

    enum CodingKeys: String, CodingKey {
        case path = "metrics_path"
        case showsIdentifier = "emit_id"
        case properties
    }

    /// Describes the file.
    ///
    /// - Parameter path: Its path.
    public init(path: String) {
        self.path = path
    }
}

extension MetricsSettings {
    /// Checks the path.
    package func validate(at place: String = "metrics") throws(ConfigurationError) {
        try path.validateAsPath(at: "\(place).metrics_path")
    }
}
