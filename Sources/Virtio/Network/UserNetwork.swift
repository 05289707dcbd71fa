// SPDX-License-Identifier: Apache-2.0

package import MachineModel

/// A private network behind this host, without any rights on it: by passt(1), which opens ordinary sockets for
/// the guest's connections.
package struct UserNetwork: Hashable, Sendable {
    package let interface: IPv4Interface
    /// The router, which only the guest sees.
    package let gateway: IPv4Address
    /// The address that the guest sends its questions for names to; `nil` for none.
    package let nameServer: IPv4Address?
    /// Indicates whether passt answers there with the answers of the host's name servers.
    package let asksHost: Bool
    package let hasHostLoopback: Bool
    package let forwards: [PortForward]
    package let mtu: UInt16

    /// - Parameters:
    ///   - configuration: Validated.
    ///   - mtu: The size of the largest packet: each costs the guest about the same, however large it is.
    /// - Throws: `NetworkError.badUserNetwork`.
    package init(_ configuration: MachineModel.NetworkInterface, mtu: UInt16 = 65_520) throws(NetworkError) {
        do throws(ConfigurationError) {
            guard let addresses = try configuration.guestAddresses(), let gateway = addresses.gateway else {
                throw ConfigurationError("gateway", "is missing")
            }
            (interface, self.gateway, nameServer) = (addresses.interface, gateway, addresses.nameServer)
            forwards = try configuration.portForwards()
        } catch {
            throw .badUserNetwork("\(error)")
        }
        asksHost = configuration.nameServer == nil
        hasHostLoopback = configuration.hasHostLoopback
        self.mtu = configuration.mtu.map { UInt16(clamping: $0) } ?? mtu
    }

    /// The arguments of passt.
    ///
    /// - Parameter descriptor: The number that its end of the socket has there.
    /// - Returns: The arguments after its name.
    func arguments(descriptor: Int) -> [String] {
        var arguments = [
            "--foreground", "--quiet", "--stderr", "--fd", "\(descriptor)", "--ipv4-only", "--mtu", "\(mtu)",
            "--address", "\(interface.address)", "--netmask", "\(interface.netmask)", "--gateway", "\(gateway)",
        ]
        // By default passt lets the guest reach whatever listens on the host's loopback interface.
        if !hasHostLoopback { arguments.append("--no-map-gw") }
        if let nameServer {
            // With --dns as well, passt would not look for the host's name servers, and forward no questions.
            arguments += [asksHost ? "--dns-forward" : "--dns", "\(nameServer)"]
        } else {
            arguments.append("--no-dhcp-dns")
        }
        for forward in forwards {
            for (host, guest) in zip(forward.hostPorts ?? forward.guestPorts, forward.guestPorts) {
                let address = forward.address.map { "\($0)/" } ?? ""
                arguments += [forward.transport == .tcp ? "--tcp-ports" : "--udp-ports", "\(address)\(host):\(guest)"]
            }
        }
        return arguments
    }

    /// An ARP request of the guest for its router: by the first frame passt learns the guest's address.
    func question(from address: MACAddress) -> [UInt8] {
        let everybody = [UInt8](repeating: 0xff, count: 6)
        let ethernet = everybody + address.bytes + [0x08, 0x06]
        let request: [UInt8] = [0, 1, 8, 0, 6, 4, 0, 1]
        let frame = ethernet + request + address.bytes + interface.address.bytes + [0, 0, 0, 0, 0, 0] + gateway.bytes
        return frame + [UInt8](repeating: 0, count: 60 - frame.count)
    }

    /// Returns whether a frame is the router's answer to that.
    func isAnswer(_ frame: [UInt8]) -> Bool {
        frame.count >= 42 && frame[12..<14] == [0x08, 0x06] && frame[20..<22] == [0, 2]
            && Array(frame[28..<32]) == gateway.bytes
    }
}
