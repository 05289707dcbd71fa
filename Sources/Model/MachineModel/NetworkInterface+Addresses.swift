// SPDX-License-Identifier: Apache-2.0

/// The addresses that a guest's interface has.
package struct GuestAddresses: Hashable, Sendable {
    package var interface: IPv4Interface
    package var gateway: IPv4Address?
    package var nameServer: IPv4Address?

    /// The kernel parameter by which the default guest's init sets up an interface.
    ///
    /// - Parameter name: The interface, as the guest calls it.
    /// - Returns: The parameter.
    package func kernelParameter(for name: String) -> String {
        let servers = nameServer.map { ",\($0)" } ?? ""
        return "martlet.net=\(name),\(interface)" + (gateway.map { ",\($0)" } ?? (servers.isEmpty ? "" : ",")) + servers
    }
}

extension NetworkInterface {
    /// A link-local network: no host can have it on another link, so nothing is hidden from the guest.
    private static let userAddress = "169.254.2.15/24"
    /// The addresses of the router and of the host's name servers in a network of the machine's own.
    private static let (gatewayOffset, nameServerOffset): (UInt32, UInt32) = (2, 3)

    /// The addresses of the guest's interface.
    ///
    /// - Parameter place: The place of the interface in a description, for the error.
    /// - Returns: The addresses; `nil` where the guest gets them elsewhere.
    /// - Throws: ``ConfigurationError``, which names the wrong field.
    package func guestAddresses(at place: String = "network-interface") throws(ConfigurationError) -> GuestAddresses? {
        guard let text = address ?? (backend == .user ? Self.userAddress : nil) else {
            for (field, value) in [("gateway", gateway), ("dns", nameServer)] where value != nil {
                throw ConfigurationError("\(place).martlet.\(field)", "needs an address of the guest")
            }
            return nil
        }
        guard let interface = IPv4Interface(text) else {
            throw ConfigurationError("\(place).martlet.address", "must be like 10.88.0.2/24, not '\(text)'")
        }
        var addresses = GuestAddresses(interface: interface)
        if let gateway {
            guard let address = IPv4Address(gateway), interface.contains(address), address != interface.address else {
                throw ConfigurationError(
                    "\(place).martlet.gateway",
                    "must be another address of the network \(interface), not '\(gateway)'"
                )
            }
            addresses.gateway = address
        } else if backend == .user {
            addresses.gateway = interface.first(from: Self.gatewayOffset)
        }
        switch nameServer {
        case "none": break
        case let text?:
            guard let address = IPv4Address(text) else {
                throw ConfigurationError("\(place).martlet.dns", "must be an address or none, not '\(text)'")
            }
            addresses.nameServer = address
        case nil:
            if backend == .user, let gateway = addresses.gateway {
                addresses.nameServer = interface.first(from: Self.nameServerOffset, besides: gateway)
            }
        }
        return addresses
    }

    /// The ports of the host that lead to the guest.
    ///
    /// - Parameter place: The place of the interface in a description, for the error.
    /// - Returns: The ports, in their order.
    /// - Throws: ``ConfigurationError``, which says what is wrong.
    package func portForwards(at place: String = "network-interface") throws(ConfigurationError) -> [PortForward] {
        var result: [PortForward] = []
        for text in forwards {
            do throws(PortForwardError) {
                result.append(try PortForward(text))
            } catch {
                throw ConfigurationError("\(place).martlet.forwards", error.description)
            }
            guard result.last?.hostPorts != nil else {
                throw ConfigurationError("\(place).martlet.forwards", "'\(text)' does not name a port of the host's")
            }
        }
        return result
    }
}

extension MachineConfiguration {
    /// The kernel parameters by which the default guest's init sets up the interfaces that have addresses.
    package var networkParameters: [String] {
        networkInterfaces.enumerated().compactMap { index, interface in
            try? interface.guestAddresses()?.kernelParameter(for: "eth\(index)")
        }
    }
}
