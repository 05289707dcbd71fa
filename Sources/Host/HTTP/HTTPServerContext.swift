// SPDX-License-Identifier: Apache-2.0

import Host

/// The values that a server and all its connections share.
struct HTTPServerContext: Sendable {
    let limits: HTTPServerLimits
    let style: HTTPServerStyle
    let isAllowed: @Sendable (PeerCredentials) -> Bool
    let onConnectionCountChange: @Sendable (Int) -> Void
    let handler: @Sendable (HTTPRequest, HTTPResponder) -> Void
    let mailbox: ServerMailbox
}
