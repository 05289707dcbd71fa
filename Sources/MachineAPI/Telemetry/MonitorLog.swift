// SPDX-License-Identifier: Apache-2.0

import Glibc
package import Logging
import Synchronization
import SystemPackage

/// Where a monitor's own messages go: to standard error, until `/logger` names a file.
package final class MonitorLog: Sendable {
    private struct State: ~Copyable {
        var settings: LoggerSettings?
        var file: LineFile?
    }

    private let identifier: String
    private let state = Mutex(State())

    /// - Parameter identifier: The machine's, which begins each line.
    package init(identifier: String) {
        self.identifier = identifier
    }

    /// Messages from now on are as `settings` say.
    func apply(_ settings: LoggerSettings) throws(APIError) {
        try state.withLock { state throws(APIError) in
            if let path = settings.path { state.file = try LineFile(path: path, "logger") }
            state.settings = settings
        }
    }

    /// A logger that writes here.
    package var logger: Logger {
        var logger = Logger(label: "martlet") { _ in Handler(log: self) }
        // What is shown is decided when it is written: the settings come later.
        logger.logLevel = .trace
        return logger
    }

    fileprivate func write(_ event: LogEvent) {
        state.withLock { state in
            let settings = state.settings
            let threshold: Logger.Level? = if let settings { settings.level.level } else { .warning }
            guard let threshold, event.level >= threshold else { return }
            if let module = settings?.module, !event.source.hasPrefix(module) { return }
            var details = [identifier]
            if settings?.showsLevel ?? true { details.append("\(event.level)") }
            if settings?.showsOrigin == true { details.append("\(event.file):\(event.line)") }
            let values = (event.metadata ?? [:]).map { " (\($0.key) \($0.value))" }.sorted().joined()
            let line = "\(Timestamp.now) [\(details.joined(separator: ":"))] \(event.message)\(values)"
            if state.file == nil {
                _ = try? FileDescriptor.standardError.writeAll((line + "\n").utf8)
            } else {
                state.file?.write(line)
            }
        }
    }

    private struct Handler: LogHandler {
        let log: MonitorLog
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        init(log: MonitorLog) {
            self.log = log
        }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            log.write(event)
        }
    }
}
