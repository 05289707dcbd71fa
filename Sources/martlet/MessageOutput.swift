// SPDX-License-Identifier: Apache-2.0

import Logging
import Machine
import SystemPackage

/// Martlet's own words to the user, on standard error, apart from what the guest says.
struct MessageOutput: Sendable {
    let isVerbose: Bool

    /// Writes one message of one or more lines.
    func write(_ text: String) {
        let end = Terminal.lineEnd
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let message = "martlet: " + lines.joined(separator: end) + end
        // Where standard error is closed, there is nobody to tell.
        _ = try? FileDescriptor.standardError.writeAll(message.utf8)
    }

    /// A logger whose messages look the same.
    var logger: Logger {
        var logger = Logger(label: "martlet") { _ in MessageLogHandler(output: self) }
        logger.logLevel = isVerbose ? .debug : .warning
        return logger
    }
}

/// Shows log messages to the user.
private struct MessageLogHandler: LogHandler {
    let output: MessageOutput
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.warning

    init(output: MessageOutput) {
        self.output = output
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let details = (event.metadata ?? [:]).map { " (\($0.key) \($0.value))" }.sorted().joined()
        output.write("\(event.level): \(event.message)\(details)")
    }
}
