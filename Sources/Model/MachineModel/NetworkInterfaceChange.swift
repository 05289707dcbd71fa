// SPDX-License-Identifier: Apache-2.0

/// The body of `PATCH /network-interfaces/{iface_id}`: changes of an interface while the guest uses it.
package struct NetworkInterfaceChange: Codable, Hashable, Sendable {
    package let id: String
    /// New buckets; those that are left out stay.
    package var receiveRateLimit: RateLimit?
    package var sendRateLimit: RateLimit?

    enum CodingKeys: String, CodingKey {
        case id = "iface_id"
        case receiveRateLimit = "rx_rate_limiter"
        case sendRateLimit = "tx_rate_limiter"
    }

    /// Checks the change.
    package func validate() throws(ConfigurationError) { try id.validateAsIdentifier(at: "network-interface.iface_id") }

    /// Changes the description of an interface.
    package func apply(to interface: inout NetworkInterface) {
        if let limit = receiveRateLimit {
            interface.receiveRateLimit = (interface.receiveRateLimit ?? RateLimit()).changed(by: limit)
        }
        if let limit = sendRateLimit {
            interface.sendRateLimit = (interface.sendRateLimit ?? RateLimit()).changed(by: limit)
        }
    }
}
