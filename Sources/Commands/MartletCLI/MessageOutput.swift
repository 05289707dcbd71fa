// SPDX-License-Identifier: Apache-2.0

import Host
import Logging
import Machine

/// Martlet's own words to the user, on standard error, apart from what the guest says.
struct MessageOutput: Sendable {
    let isVerbose: Bool

    /// Writes one message of one or more lines.
    func write(_ text: String) {
        let end = Terminal.lineEnd
        let lines = printable(text, keepsLines: true).split(separator: "\n", omittingEmptySubsequences: false)
        let message = "martlet: " + lines.joined(separator: end) + end
        MessageQueue.standardError.write(message.utf8)
    }

    /// A logger whose messages look the same.
    var logger: Logger {
        LogForwarder.logger(level: isVerbose ? .debug : .warning) { [self] event in
            write("\(event.level): \(event.text)")
        }
    }
}
