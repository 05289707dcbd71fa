// SPDX-License-Identifier: Apache-2.0

package import Host

/// The reason why a request got no answer, in words.
package enum HTTPClientError: Error, Hashable, CustomStringConvertible {
    /// There is no server, or its socket cannot be used.
    case socket(UnixSocketError)
    /// The answer did not come in time.
    case timedOut
    /// The server closed the connection before the answer was whole.
    case closed
    /// The bytes are no HTTP, or more than is taken.
    case malformed(String)
    /// Method, target or header fields cannot be sent.
    case unusableRequest
    /// The server did not go on with the other protocol; its answer says why.
    case upgradeRefused(HTTPResponse)

    package var description: String {
        switch self {
        case .socket(let error): error.description
        case .timedOut: "the server did not answer in time"
        case .closed: "the server closed the connection without a whole answer"
        case .malformed(let reason): "the server's answer is not valid HTTP: \(reason)"
        case .unusableRequest: "the request has an invalid character"
        case .upgradeRefused(let response):
            "the server answered \(response.status) \(response.reason) instead of switching protocols"
        }
    }
}
