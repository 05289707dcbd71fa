// SPDX-License-Identifier: Apache-2.0

/// Work on a frame that one side leaves to the other: checksums, and cutting large segments to the size of the link.
///
/// The values are the kernel's `TUN_F_` flags.
package struct NetworkOffloads: OptionSet, Hashable, Sendable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// The checksum of TCP and UDP is still to be computed.
    package static let checksum = Self(rawValue: 1 << 0)
    /// TCP over IPv4 and IPv6 is still to be cut into segments.
    package static let tcp4 = Self(rawValue: 1 << 1)
    package static let tcp6 = Self(rawValue: 1 << 2)
    /// Such segments may carry congestion notification.
    package static let tcpCongestion = Self(rawValue: 1 << 3)
    /// UDP is still to be cut into fragments.
    package static let udpFragments = Self(rawValue: 1 << 4)
    /// UDP over IPv4 and IPv6 is still to be cut into segments.
    package static let udp4 = Self(rawValue: 1 << 5)
    package static let udp6 = Self(rawValue: 1 << 6)

    package static let all: Self = [.checksum, .tcp4, .tcp6, .tcpCongestion, .udpFragments, .udp4, .udp6]
}
