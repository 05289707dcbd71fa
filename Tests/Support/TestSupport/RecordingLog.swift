// SPDX-License-Identifier: Apache-2.0

package import Logging
import Synchronization

/// Keeps what is logged; `logger` writes here.
package final class RecordingLog: Sendable {
    private let recorded = Mutex<[String]>([])

    package init() {}

    package var messages: [String] { recorded.withLock { $0 } }

    package var logger: Logger {
        Logger(label: "test") { _ in Handler(log: self) }
    }

    private struct Handler: LogHandler {
        let log: RecordingLog
        var metadata: Logger.Metadata = [:]
        var logLevel: Logger.Level = .trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            log.recorded.withLock { $0.append("\(event.message)") }
        }
    }
}
