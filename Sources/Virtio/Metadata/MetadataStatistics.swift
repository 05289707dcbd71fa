// SPDX-License-Identifier: Apache-2.0

/// The counters of the metadata service, for Firecracker's metrics.
package struct MetadataStatistics: Hashable, Sendable {
    /// Frames of the guest's for the service, and those among them that are not Ethernet, ARP, IPv4 or TCP as they should be.
    package var receivedFrames: UInt64 = 0
    package var unusualFrames: UInt64 = 0
    /// Frames and bytes for the guest.
    package var sentFrames: UInt64 = 0
    package var sentBytes: UInt64 = 0
    /// Requests without a token, and with one that is not valid.
    package var missingTokens: UInt64 = 0
    package var invalidTokens: UInt64 = 0
    package var connectionsCreated: UInt64 = 0
    package var connectionsDestroyed: UInt64 = 0

    package init() {}
}
