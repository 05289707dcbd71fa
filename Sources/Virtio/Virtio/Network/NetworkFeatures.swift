// SPDX-License-Identifier: Apache-2.0

import Network

/// Feature bits of network devices (virtio 1.3, 5.1.3).
extension VirtioFeatures {
    /// The device takes frames with checksums still to be computed.
    package static let networkChecksum = Self(rawValue: 1 << 0)
    /// The driver takes them.
    package static let networkGuestChecksum = Self(rawValue: 1 << 1)
    /// The configuration has the MTU.
    package static let networkMTU = Self(rawValue: 1 << 3)
    /// The configuration has the hardware address.
    package static let networkMAC = Self(rawValue: 1 << 5)
    package static let networkGuestTCP4 = Self(rawValue: 1 << 7)
    package static let networkGuestTCP6 = Self(rawValue: 1 << 8)
    package static let networkGuestCongestion = Self(rawValue: 1 << 9)
    package static let networkGuestUDPFragments = Self(rawValue: 1 << 10)
    package static let networkHostTCP4 = Self(rawValue: 1 << 11)
    package static let networkHostTCP6 = Self(rawValue: 1 << 12)
    package static let networkHostCongestion = Self(rawValue: 1 << 13)
    package static let networkHostUDPFragments = Self(rawValue: 1 << 14)
    /// A frame may take several buffers of the driver's.
    package static let networkMergeableBuffers = Self(rawValue: 1 << 15)
    /// The configuration says whether the link is up.
    package static let networkStatus = Self(rawValue: 1 << 16)
    package static let networkGuestUDP4 = Self(rawValue: 1 << 54)
    package static let networkGuestUDP6 = Self(rawValue: 1 << 55)
    package static let networkHostUDP = Self(rawValue: 1 << 56)

    private static let guestOffloads: [(Self, NetworkOffloads)] = [
        (.networkGuestChecksum, .checksum), (.networkGuestTCP4, .tcp4), (.networkGuestTCP6, .tcp6),
        (.networkGuestCongestion, .tcpCongestion), (.networkGuestUDPFragments, .udpFragments),
        (.networkGuestUDP4, .udp4), (.networkGuestUDP6, .udp6),
    ]
    private static let hostOffloads: [(Self, NetworkOffloads)] = [
        (.networkChecksum, .checksum), (.networkHostTCP4, .tcp4), (.networkHostTCP6, .tcp6),
        (.networkHostCongestion, .tcpCongestion), (.networkHostUDPFragments, .udpFragments),
        (.networkHostUDP, [.udp4, .udp6]),
    ]

    /// All bits of what either side may leave unfinished.
    init(networkOffloads offloads: NetworkOffloads) {
        self = []
        for (feature, offload) in Self.guestOffloads + Self.hostOffloads where offloads.isSuperset(of: offload) {
            insert(feature)
        }
    }

    /// The state in which the driver takes checksums and segments.
    var guestNetworkOffloads: NetworkOffloads { offloads(Self.guestOffloads) }

    private func offloads(_ table: [(Self, NetworkOffloads)]) -> NetworkOffloads {
        table.reduce(into: []) { if contains($1.0) { $0.formUnion($1.1) } }
    }

    /// Indicates whether a frame may be larger than the link's MTU, because the driver cuts it (5.1.6.3.1).
    var hasLargeNetworkFrames: Bool {
        !guestNetworkOffloads.isDisjoint(with: [.tcp4, .tcp6, .udpFragments, .udp4, .udp6])
    }

    /// The reason why a network device cannot work with these: bits that depend on others (5.1.3.1).
    var networkProblem: String? {
        let guest = guestNetworkOffloads
        let host = offloads(Self.hostOffloads)
        if !guest.isEmpty, !guest.contains(.checksum) { return "segmentation for the driver needs GUEST_CSUM" }
        if !host.isEmpty, !host.contains(.checksum) { return "segmentation for the device needs CSUM" }
        for (offloads, side) in [(guest, "GUEST"), (host, "HOST")] {
            if offloads.contains(.tcpCongestion), offloads.isDisjoint(with: [.tcp4, .tcp6]) {
                return "\(side)_ECN needs \(side)_TSO4 or \(side)_TSO6"
            }
        }
        // The kernel takes both or none.
        if guest.contains(.udp4) != guest.contains(.udp6) { return "GUEST_USO4 and GUEST_USO6 need each other here" }
        return nil
    }
}
