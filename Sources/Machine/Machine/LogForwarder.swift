// SPDX-License-Identifier: Apache-2.0

package import Logging

/// A handler of log messages that gives each to a function.
package struct LogForwarder: LogHandler {
    package var metadata: Logger.Metadata = [:]
    package var logLevel: Logger.Level
    private let body: @Sendable (LogEvent) -> Void

    /// A logger with such a handler.
    ///
    /// `body` is called on the thread that logs.
    package static func logger(
        level: Logger.Level,
        _ body: @escaping @Sendable (LogEvent) -> Void
    ) -> Logger {
        Logger(label: "martlet") { _ in LogForwarder(logLevel: level, body: body) }
    }

    private init(logLevel: Logger.Level, body: @escaping @Sendable (LogEvent) -> Void) {
        (self.logLevel, self.body) = (logLevel, body)
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var event = event
        if !metadata.isEmpty { event.metadata = metadata.merging(event.metadata ?? [:]) { $1 } }
        body(event)
    }
}

extension LogEvent {
    /// The message as a line: ` (name value)` for each of its metadata follows it.
    package var text: String {
        "\(message)" + (metadata ?? [:]).map { " (\($0.key) \($0.value))" }.sorted().joined()
    }
}
