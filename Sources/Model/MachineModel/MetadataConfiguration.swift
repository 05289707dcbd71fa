// SPDX-License-Identifier: Apache-2.0

/// The metadata service of a machine: `/mmds/config` of the API.
public struct MetadataConfiguration: Codable, Hashable, Sendable {
    /// The versions of the service.
    public enum Version: String, Codable, CaseIterable, Sendable {
        /// Any request is answered; deprecated.
        case v1 = "V1"
        /// A request needs a session token, which the guest asks for first.
        case v2 = "V2"
    }

    /// The version; `nil` for ``Version/v1``, as Firecracker has it.
    public var chosenVersion: Version?

    /// The interfaces from which the guest reaches the service, by their names in the API.
    public var networkInterfaces: [String]

    /// The address of the service, of 169.254.0.0/16; `nil` for 169.254.169.254.
    public var address: String?

    /// Indicates whether answers are as those of EC2's service, whatever a client says that it accepts.
    public var compatibility: Bool?

    enum CodingKeys: String, CodingKey {
        case chosenVersion = "version"
        case networkInterfaces = "network_interfaces"
        case address = "ipv4_address"
        case compatibility = "imds_compat"
    }

    /// Describes the service.
    ///
    /// - Parameters:
    ///   - networkInterfaces: The interfaces from which the guest reaches it.
    ///   - version: The version.
    public init(networkInterfaces: [String], version: Version = .v2) {
        self.networkInterfaces = networkInterfaces
        chosenVersion = version
    }

    package var version: Version { chosenVersion ?? .v1 }
    package var isCompatible: Bool { compatibility ?? false }
    package var ipv4Address: IPv4Address { address.flatMap { IPv4Address($0) } ?? Self.usualAddress }

    package static let usualAddress = IPv4Address(rawValue: 0xa9fe_a9fe)

    /// Checks the description.
    ///
    /// - Throws: ``ConfigurationError``, with Firecracker's words.
    package func validate(_ interfaces: [NetworkInterface]) throws(ConfigurationError) {
        guard !networkInterfaces.isEmpty else {
            throw ConfigurationError(
                "mmds-config.network_interfaces",
                "The list of network interface IDs that allow forwarding MMDS requests is empty."
            )
        }
        guard networkInterfaces.allSatisfy({ id in interfaces.contains { $0.id == id } }) else {
            throw ConfigurationError(
                "mmds-config.network_interfaces",
                "The list of network interface IDs provided contains at least one ID that does not correspond to any "
                    + "existing network interface."
            )
        }
        if let address {
            // RFC 3927, 2.1: the first and the last 256 addresses are nobody's.
            let isLinkLocal = IPv4Address(address).map { 0xa9fe_0100...0xa9fe_feff ~= $0.rawValue } ?? false
            guard isLinkLocal else {
                throw ConfigurationError("mmds-config.ipv4_address", "The MMDS IPv4 address is not link local.")
            }
        }
    }
}
