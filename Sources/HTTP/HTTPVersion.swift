// SPDX-License-Identifier: Apache-2.0

/// The versions of HTTP that are spoken here.
package enum HTTPVersion: Sendable {
    case http10
    case http11
}
