// SPDX-License-Identifier: Apache-2.0

import Host
package import Logging
import Machine
import Synchronization

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
        // What is shown is decided when it is written: the settings come later.
        LogForwarder.logger(level: .trace) { [self] event in write(event) }
    }

    private func write(_ event: LogEvent) {
        state.withLock { state in
            let settings = state.settings
            let threshold: Logger.Level? = if let settings { settings.level.level } else { .warning }
            guard let threshold, event.level >= threshold else { return }
            if let module = settings?.module, !event.source.hasPrefix(module) { return }
            var details = [identifier]
            if settings?.showsLevel ?? true { details.append("\(event.level)") }
            if settings?.showsOrigin == true { details.append("\(event.file):\(event.line)") }
            let text = printable(event.text, keepsLines: true)
            let line = "\(Timestamp.now) [\(details.joined(separator: ":"))] \(text)"
            if state.file == nil {
                MessageQueue.standardError.write((line + Terminal.lineEnd).utf8)
            } else {
                state.file?.write(line)
            }
        }
    }
}
