// SPDX-License-Identifier: Apache-2.0

/// The process at the other end of a Unix socket, as the kernel noted it when that end connected or listened.
package struct PeerCredentials: Hashable, Sendable {
    /// 0 for a process that our PID namespace does not show.
    package let processID: Int32
    /// Its effective user.
    package let userID: UInt32
    /// Its effective group.
    package let groupID: UInt32
}
