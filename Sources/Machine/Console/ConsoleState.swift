// SPDX-License-Identifier: Apache-2.0

package import Host

/// The part of a console that a snapshot keeps: input that the guest has not taken, and its last output.
package struct ConsoleState: Codable, Hashable, Sendable {
    /// The typed bytes that the guest has not taken.
    package var typed = Base64([])
    /// Before which of these bytes a break comes.
    package var lineBreaks: [Int] = []
    /// The last bytes that the guest sent, for those that attach later.
    package var sent = Base64([])
    /// The number of bytes that the guest has sent.
    package var sentByteCount: UInt64 = 0

    enum CodingKeys: String, CodingKey {
        case typed
        case lineBreaks = "line_breaks"
        case sent
        case sentByteCount = "sent_bytes"
    }

    package init() {}

    /// Takes the last bytes out of the state: a snapshot has them apart.
    package mutating func takeSent() -> [UInt8] {
        defer { sent.bytes = [] }
        return sent.bytes
    }
}
