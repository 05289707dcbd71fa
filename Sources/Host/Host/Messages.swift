// SPDX-License-Identifier: Apache-2.0

/// Martlet's own words to the user, on standard error, apart from the guest's output.
package enum Messages {
    /// Writes one message of one or more lines.
    package static func write(_ text: String) {
        MessageQueue.standardError.write(line(text).utf8)
    }

    /// Returns a message as `write` writes it.
    package static func line(_ text: String) -> String {
        let end = Terminal.lineEnd
        let lines = printable(text, keepsLines: true).split(separator: "\n", omittingEmptySubsequences: false)
        return "martlet: " + lines.joined(separator: end) + end
    }

    /// Gives the last messages a second to be written, before the process ends.
    package static func flush() {
        for queue in [MessageQueue.standardError, .standardOutput] { queue.flush(within: .seconds(1)) }
    }
}
