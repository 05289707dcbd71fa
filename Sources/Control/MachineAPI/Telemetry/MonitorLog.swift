// SPDX-License-Identifier: Apache-2.0

package import Host
package import Logging
import Machine
import MachineModel
import Synchronization
import Virtio

/// The destination of a monitor's own messages: a stream of the process, until `/logger` names a file.
package final class MonitorLog: Sendable {
    private struct State: ~Copyable {
        var settings: LoggerSettings?
        var file: LineFile?
    }

    private let identifier: String
    private let isVerbose: Bool
    private let lines: MessageQueue
    private let output: (@Sendable (LogEvent) -> Void)?
    private let state = Mutex(State())

    /// Makes a log without a file.
    ///
    /// `identifier` begins each line. `isVerbose` has more than warnings written, until a level is chosen. While there is no
    /// file, `output` takes messages, or `lines` their lines.
    package init(
        identifier: String,
        isVerbose: Bool = false,
        lines: MessageQueue = .standardError,
        output: (@Sendable (LogEvent) -> Void)? = nil
    ) {
        (self.identifier, self.isVerbose, self.lines, self.output) = (identifier, isVerbose, lines, output)
    }

    /// The descriptor of the log's file, which stays open until another file takes its place; `nil` for none.
    package var fileDescriptor: CInt? { state.withLock { $0.file?.descriptor } }

    /// Writes which program it is, for the log's reader.
    package func reportStart(_ dialect: APIDialect) {
        logger.info("Running \(dialect.program)")
    }

    /// Writes why the process ends into the log, where that is not on standard error, for those who do not see it there.
    package func reportFailure(_ text: String) {
        if lines !== MessageQueue.standardError || state.withLock({ $0.file != nil }) { logger.error("\(text)") }
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
        // Messages are filtered when they are written: the settings come later.
        LogForwarder.logger(level: .trace) { [self] event in write(event) }
    }

    /// Writes the packets of connections that a machine's guest gets, in Firecracker's words.
    func follow(_ device: VsockDevice) {
        let logger = logger
        device.watchPackets { [self] packet in
            // Their text is made for this level alone: packets are many.
            guard state.withLock({ writes(.debug, $0) }) else { return }
            logger.debug("vsock muxer: RX pkt: \(FirecrackerWords.words(of: packet))")
        }
    }

    private func writes(_ level: Logger.Level, _ state: borrowing State) -> Bool {
        let threshold: Logger.Level? =
            if let settings = state.settings { settings.level.threshold } else { isVerbose ? .debug : .warning }
        return threshold.map { level >= $0 } ?? false
    }

    private func write(_ event: LogEvent) {
        state.withLock { state in
            guard writes(event.level, state) else { return }
            let settings = state.settings
            if let module = settings?.module, !event.source.hasPrefix(module) { return }
            var details = [identifier, HostThread.currentName]
            if settings?.showsLevel ?? true { details.append(event.level.logName) }
            if settings?.showsOrigin == true { details.append("\(event.file):\(event.line)") }
            let text = printable(event.text, keepsLines: true)
            let line = "\(Timestamp.now.logText) [\(details.joined(separator: ":"))] \(text)"
            if state.file == nil, let output {
                output(event)
            } else if state.file == nil {
                lines.write((line + Terminal.lineEnd).utf8)
            } else {
                state.file?.write(line)
            }
        }
    }
}

extension Logger.Level {
    /// The name of the level in a line, as Firecracker writes it.
    fileprivate var logName: String {
        switch self {
        case .trace: "TRACE"
        case .debug: "DEBUG"
        case .info, .notice: "INFO"
        case .warning: "WARN"
        case .error, .critical: "ERROR"
        }
    }
}

extension LoggerSettings.Level {
    /// The least important level that is written; `nil` for no messages at all.
    fileprivate var threshold: Logger.Level? {
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
