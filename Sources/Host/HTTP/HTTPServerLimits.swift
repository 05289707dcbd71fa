// SPDX-License-Identifier: Apache-2.0

/// What clients of a server may take of it.
package struct HTTPServerLimits: Sendable {
    /// How many connections there may be.
    ///
    /// One more takes the place of the client that has been idle longest, else of one that sends its request slowest, else
    /// of one whose answer has taken `answerTime`. It is answered with 503 where there is none of them.
    package var connectionCount = 64
    /// How long an answer may take before its client gives way to a new one: what waits for the end of a machine.
    package var answerTime = Duration.seconds(1)
    /// How long a request may take to come in, from its first byte.
    package var requestTime = Duration.seconds(10)
    /// How long a connection may be open without a request.
    package var idleTime = Duration.seconds(60)
    /// How long the client may take for a response.
    package var responseTime = Duration.seconds(10)
    /// How long `stop()` waits for responses to be taken.
    package var stopTime = Duration.seconds(1)
    /// How large a request may be.
    package var request = HTTPParserLimits()

    /// How long a client that was refused may go on sending, so that it sees why.
    var lingerTime: Duration { min(responseTime, .seconds(2)) }

    /// The usual limits.
    package init() {}
}
