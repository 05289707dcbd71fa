// SPDX-License-Identifier: Apache-2.0

/// The form of a server's answers, besides their content.
package struct HTTPServerStyle: Sendable {
    /// The value of the Server header field.
    package var name: String
    /// Indicates whether the status is followed by its meaning in words, which HTTP/1.1 leaves open (RFC 9112, 4).
    package var hasReasons = true
    /// Makes the answer to an invalid request, after which the connection ends.
    package var answer: @Sendable (HTTPFault) -> HTTPResponse = { HTTPResponse($0) }
    /// The value of the Connection header field of such an answer.
    package var faultConnection = "close"

    /// Makes the usual form.
    ///
    /// - Parameter name: The value of the Server header field.
    package init(name: String) {
        self.name = name
    }
}
