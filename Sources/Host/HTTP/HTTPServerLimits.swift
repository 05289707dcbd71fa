// SPDX-License-Identifier: Apache-2.0

/// What clients of a server may take of it.
package struct HTTPServerLimits: Sendable {
    /// How many connections there may be; one more is answered with 503.
    package var connectionCount = 64
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
