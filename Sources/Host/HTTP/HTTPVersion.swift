// SPDX-License-Identifier: Apache-2.0

/// The versions of HTTP that are spoken here.
package enum HTTPVersion: Sendable {
    /// HTTP/1.0.
    case http10
    /// HTTP/1.1, and any later 1.x.
    case http11
}
