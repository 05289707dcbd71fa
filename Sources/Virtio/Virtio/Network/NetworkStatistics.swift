// SPDX-License-Identifier: Apache-2.0

/// The counters of a network device, named as Firecracker's metrics.
package struct NetworkStatistics: Hashable, Sendable {
    /// Frames and bytes for the guest.
    package var receivedPackets: UInt64 = 0
    package var receivedBytes: UInt64 = 0
    /// Frames and bytes of the guest.
    package var sentPackets: UInt64 = 0
    package var sentBytes: UInt64 = 0
    /// The number of frames that could not be received, or had no buffer of the driver's.
    package var receiveFailures: UInt64 = 0
    package var missingReceiveBuffers: UInt64 = 0
    /// Frames that the host did not take, that were malformed, and that had another sender than the guest.
    package var sendFailures: UInt64 = 0
    package var malformedFrames: UInt64 = 0
    package var spoofedAddresses: UInt64 = 0
    /// The number of times that a rate limit held a frame back.
    package var receiveThrottled: UInt64 = 0
    package var sendThrottled: UInt64 = 0
    /// The number of the driver's kicks, and of the host's events.
    package var receiveKicks: UInt64 = 0
    package var sendKicks: UInt64 = 0
    package var hostEvents: UInt64 = 0
    /// The number of times that a frame had to wait for the host.
    package var sendBlocked: UInt64 = 0

    package init() {}
}
