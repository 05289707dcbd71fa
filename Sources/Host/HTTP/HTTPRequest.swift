// SPDX-License-Identifier: Apache-2.0

package import Host

/// A complete request.
package struct HTTPRequest: Sendable {
    /// The method, such as GET, as it was written.
    package let method: String
    /// The segments of the path, percent-decoded: none of them has a slash; `/` has one, which is empty.
    package let pathSegments: [String]
    /// The query, percent-decoded; a name without a value has an empty one.
    package let query: [String: String]
    /// The version that the client speaks.
    package let version: HTTPVersion
    /// The header fields; those of the connection are among them.
    package let headers: HTTPHeaders
    /// The body; empty where there is none.
    package let body: [UInt8]
    /// Open files that the client sent with the request; `nil` for none.
    package var files: PassedFiles?

    /// Makes a request, as the parser does.
    package init(
        method: String,
        pathSegments: [String],
        query: [String: String] = [:],
        version: HTTPVersion = .http11,
        headers: HTTPHeaders = [:],
        body: [UInt8] = []
    ) {
        (self.method, self.pathSegments, self.query) = (method, pathSegments, query)
        (self.version, self.headers, self.body) = (version, headers, body)
    }

    /// The path, percent-decoded.
    package var path: String { "/" + pathSegments.joined(separator: "/") }

    /// Returns whether the client asks to continue with another protocol (RFC 9110, 7.8).
    package func asksForUpgrade(to name: String) -> Bool {
        version == .http11 && headers.list("Connection", contains: "upgrade")
            && headers.list("Upgrade", contains: name)
    }

    /// Indicates whether the connection stays open for another request (RFC 9112, 9.3).
    package var keepsAlive: Bool {
        switch version {
        case .http10: headers.list("Connection", contains: "keep-alive")
        case .http11: !headers.list("Connection", contains: "close")
        }
    }
}

/// The versions of HTTP that are spoken here.
package enum HTTPVersion: Sendable {
    /// HTTP/1.0.
    case http10
    /// HTTP/1.1, and any later 1.x.
    case http11
}
