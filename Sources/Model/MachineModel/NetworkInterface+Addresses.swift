// SPDX-License-Identifier: Apache-2.0

/// The addresses that a guest's interface has.
package struct GuestAddresses: Hashable, Sendable {
    package var interface: IPv4Interface
    package var gateway: IPv4Address?
    package var nameServer: IPv4Address?

    /// The kernel parameter by which the default guest's init sets up an interface.
    package func kernelParameter(for name: String) -> String {
        let servers = nameServer.map { ",\($0)" } ?? ""
        return "martlet.net=\(name),\(interface)" + (gateway.map { ",\($0)" } ?? (servers.isEmpty ? "" : ",")) + servers
    }
}

extension NetworkInterface {
    /// A link-local network: no host can have it on another link, so nothing is hidden from the guest.
    private static let userAddress = userAddress(2)
    /// The numbers of such networks of one machine.
    fileprivate static let userNumbers = 2...9

    fileprivate static func userAddress(_ number: Int) -> String { "169.254.\(number).15/24" }
    /// The addresses of the router and of the host's name servers in a network of the machine's own.
    private static let (gatewayOffset, nameServerOffset): (UInt32, UInt32) = (2, 3)

    /// The addresses of the guest's interface.
    ///
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
    /// The network interfaces, of which no two that are networks of the machine's own share their usual addresses.
    package var addressedInterfaces: [NetworkInterface] {
        var taken = networkInterfaces.compactMap { $0.address.flatMap { IPv4Interface($0) } }
        return networkInterfaces.map { interface in
            // A router that was chosen is one of the usual network.
            guard interface.backend == .user, interface.address == nil, interface.gateway == nil else {
                return interface
            }
            let networks = NetworkInterface.userNumbers.compactMap { IPv4Interface(NetworkInterface.userAddress($0)) }
            guard let free = networks.first(where: { network in !taken.contains { $0.contains(network.address) } })
            else { return interface }
            taken.append(free)
            var interface = interface
            interface.address = "\(free)"
            return interface
        }
    }

    /// The kernel parameters by which the default guest's init sets up the interfaces that have addresses.
    package var networkParameters: [String] {
        addressedInterfaces.enumerated().compactMap { index, interface in
            try? interface.guestAddresses()?.kernelParameter(for: "eth\(index)")
        }
    }
}
