// SPDX-License-Identifier: Apache-2.0

/// The counters of a vsock device; the names are close to those of Firecracker's metrics.
package struct VsockStatistics: Hashable, Sendable {
    package var connectionsAdded: UInt64 = 0
    package var connectionsRemoved: UInt64 = 0
    /// Connections that were reset because the guest broke the rules, or because there were too many.
    package var connectionsKilled: UInt64 = 0
    /// Data and packets to the guest.
    package var receivedBytes: UInt64 = 0
    package var receivedPackets: UInt64 = 0
    package var receiveFailures: UInt64 = 0
    /// Data and packets from the guest.
    package var sentBytes: UInt64 = 0
    package var sentPackets: UInt64 = 0
    package var sendFailures: UInt64 = 0
    /// Writes to a program of the host that was gone.
    package var brokenPipes: UInt64 = 0
    package var receiveKicks: UInt64 = 0
    package var sendKicks: UInt64 = 0
    package var eventKicks: UInt64 = 0

    package init() {}
}
