// SPDX-License-Identifier: Apache-2.0

import CNetwork
package import GuestAgent
import Host
package import JSON
package import MachineModel
import SystemPackage

/// The network of a container whose engine made it: TAPs of this namespace, and what the guest is told about them.
package struct ContainerNetwork {
    /// The interfaces of the machine, on descriptors of this process that stay open.
    package private(set) var interfaces: [NetworkInterface] = []
    /// The same interfaces as the guest has them.
    package private(set) var guestInterfaces: [GuestContainer.Interface] = []

    /// Opens the TAPs that martlet-runtime has made; they end with this process.
    ///
    /// - Parameter description: Of each interface, by martlet-runtime.
    /// - Throws: `RuntimeSpecification.Problem`.
    package init(_ description: JSONValue) throws(RuntimeSpecification.Problem) {
        for (index, value) in description.elements.enumerated() {
            let tap = value["tap"].string ?? ""
            let descriptor = unsafe cnetwork_tap_take(tap)
            guard descriptor >= 0 else {
                throw RuntimeSpecification.Problem(
                    "cannot open the container's TAP \(printable(tap)): \(Errno(rawValue: -descriptor))"
                )
            }
            var interface = NetworkInterface("eth\(index)")
            interface.backend = .fd
            interface.descriptors = [Int(descriptor)]
            interface.guestMAC = value["mac"].string
            interface.mtu = value["mtu"].integerValue.map { Int($0) }
            interfaces.append(interface)

            var guest = GuestContainer.Interface("eth\(index)")
            (guest.address, guest.mask) = (Self.number(value["address"]), Self.number(value["mask"]))
            guest.routes = value["routes"].elements.map {
                GuestContainer.Route(
                    target: Self.number($0["to"]),
                    mask: Self.number($0["mask"]),
                    router: Self.number($0["via"])
                )
            }
            guestInterfaces.append(guest)
        }
    }

    private static func number(_ value: JSONValue) -> UInt32 { UInt32(truncatingIfNeeded: value.integerValue ?? 0) }
}
