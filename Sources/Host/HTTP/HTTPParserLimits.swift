// SPDX-License-Identifier: Apache-2.0

/// The limits on the size of a message.
package struct HTTPParserLimits: Sendable {
    /// The start line and all header fields with it, in bytes.
    package var headByteCount = 8 << 10
    /// The number of header fields.
    package var headerCount = 64
    /// The body, in bytes.
    package var bodyByteCount = 51_200

    /// The usual limits.
    package init() {}
}
