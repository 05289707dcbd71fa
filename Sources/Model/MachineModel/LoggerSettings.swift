// SPDX-License-Identifier: Apache-2.0

/// The messages of the process that runs a machine: `/logger` of the API.
public struct LoggerSettings: HasDefault, Sendable {
    /// The file or named pipe of the messages; `nil` for standard error.
    public var path: String?

    /// The least important messages that are written.
    @DefaultWhenAbsent public var level: Level

    /// Indicates whether a message shows its level.
    @DefaultWhenAbsent public var showsLevel: Bool

    /// Indicates whether a message shows the line of the source that wrote it.
    @DefaultWhenAbsent public var showsOrigin: Bool

    /// The beginning of the names of the parts whose messages are written; `nil` for all parts.
    public var module: String?

    /// The importance of a message.
    public enum Level: String, CaseIterable, HasDefault, Sendable {
        /// No messages at all.
        case off = "Off"
        case error = "Error"
        /// Warnings and errors.
        case warning = "Warning"
        /// Everything of interest to a user.
        case info = "Info"
        /// Everything of interest to a developer.
        case debug = "Debug"
        /// Everything.
        case trace = "Trace"

        /// Makes ``info``.
        public init() { self = .info }

        /// Finds a level by its name in upper or lower case; `Warn` is short for `Warning`.
        ///
        /// - Parameter name: The name.
        public init?(named name: String) {
            let name = name.lowercased()
            guard
                let level = Self.allCases.first(where: {
                    $0.rawValue.lowercased() == name || name == "warn" && $0 == .warning
                })
            else { return nil }
            self = level
        }

        public init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            guard let level = Self(named: try container.decode(String.self)) else {
                throw DecodingError.dataCorruptedError(in: container, debugDescription: "must be a level")
            }
            self = level
        }
    }

    enum CodingKeys: String, CodingKey {
        case path = "log_path"
        case level
        case showsLevel = "show_level"
        case showsOrigin = "show_log_origin"
        case module
    }

    /// Describes messages of the level ``Level-swift.enum/info`` on standard error.
    public init() {}

    /// Describes messages on standard error.
    ///
    /// - Parameter level: The least important messages that are written.
    public init(level: Level) {
        self.level = level
    }
}

extension LoggerSettings {
    /// Checks the path.
    package func validate(at place: String = "logger") throws(ConfigurationError) {
        try path?.validateAsPath(at: "\(place).log_path")
    }
}
