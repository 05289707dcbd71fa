// SPDX-License-Identifier: Apache-2.0

/// The limits on what clients may take of a server.
package struct HTTPServerLimits: Sendable {
    /// The greatest number of connections.
    ///
    /// A further client takes the place of the client that has been idle longest, else of one that sends its request slowest, else
    /// of one whose answer has taken `answerTime`. It is answered with 503 where there is none of them.
    package var connectionCount = 64
    /// The time that an answer may take before its client gives way to a new one: what waits for the end of a machine.
    package var answerTime = Duration.seconds(1)
    /// The time that a request may take to come in, from its first byte.
    package var requestTime = Duration.seconds(10)
    /// The time for which a connection may be open without a request.
    package var idleTime = Duration.seconds(60)
    /// The time that the client may take for a response.
    package var responseTime = Duration.seconds(10)
    /// The time for which `stop()` waits for responses to be taken.
    package var stopTime = Duration.seconds(1)
    package var request = HTTPParserLimits()

    /// The time that a client that was refused may go on sending, so that it sees why.
    var lingerTime: Duration { min(responseTime, .seconds(2)) }

    /// The usual limits.
    package init() {}
}
