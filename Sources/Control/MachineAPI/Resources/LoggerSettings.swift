// SPDX-License-Identifier: Apache-2.0

import JSON
import Logging

/// `/logger`: where Martlet's own messages go.
struct LoggerSettings: Hashable, Sendable {
    var path: String?
    var level = Level.info
    var showsLevel = false
    var showsOrigin = false
    /// Only messages from sources whose name begins so.
    var module: String?

    enum Level: String, CaseIterable {
        case off = "Off"
        case error = "Error"
        case warning = "Warning"
        case info = "Info"
        case debug = "Debug"
        case trace = "Trace"

        /// `nil` for no messages at all.
        var level: Logger.Level? {
            switch self {
            case .off: nil
            case .error: .error
            case .warning: .warning
            case .info: .info
            case .debug: .debug
            case .trace: .trace
            }
        }
    }

    init(_ value: JSONValue) throws(APIError) {
        self = try inAPITerms { () throws(JSONError) in
            var fields = try JSONFields(value, of: "logger")
            var settings = LoggerSettings()
            settings.path = try fields.optional("log_path", .path)
            settings.level = try fields.optional("level", .level) ?? .info
            settings.showsLevel = try fields.optional("show_level", .bool) ?? false
            settings.showsOrigin = try fields.optional("show_log_origin", .bool) ?? false
            settings.module = try fields.optional("module", .string)
            try fields.finish()
            return settings
        }
    }

    private init() {}

    var json: JSONValue {
        var object: JSONObject = [
            "level": .string(level.rawValue), "show_level": .bool(showsLevel), "show_log_origin": .bool(showsOrigin),
        ]
        if let path { object["log_path"] = .string(path) }
        if let module { object["module"] = .string(module) }
        return .object(object)
    }
}

extension JSONFieldType where Value == LoggerSettings.Level {
    /// A level in upper or lower case, `Warn` for short.
    fileprivate static var level: Self {
        let names = Value.allCases.map(\.rawValue).joined(separator: ", ")
        return Self(expectation: { _ in "one of \(names)" }) { value in
            guard case .string(let text) = value else { return nil }
            if text.lowercased() == "warn" { return .warning }
            return Value.allCases.first { $0.rawValue.lowercased() == text.lowercased() }
        }
    }
}
