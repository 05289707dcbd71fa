// SPDX-License-Identifier: Apache-2.0

package import Host

/// A connection that has left HTTP for another protocol, as its client has it.
package struct HTTPUpgrade: Sendable {
    /// The connection, which blocks.
    package let socket: UnixSocket
    /// The bytes of the new protocol that the server has sent already.
    package let leftover: [UInt8]
    /// The header fields of the 101 response.
    package let headers: HTTPHeaders
}
