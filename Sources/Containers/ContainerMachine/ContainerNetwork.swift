// SPDX-License-Identifier: Apache-2.0

import CNetwork
package import GuestAgent
import Host
package import JSON
package import MachineModel
import SystemPackage

/// The network of a container whose engine made it: TAPs of this namespace, and their description for the guest.
package struct ContainerNetwork {
    /// The interfaces of the machine, on descriptors of this process that stay open.
    package private(set) var interfaces: [NetworkInterface] = []
    /// The same interfaces as the guest has them.
    package private(set) var guestInterfaces: [GuestContainer.Interface] = []

    /// Opens the TAPs that martlet-runtime has made; they end with this process.
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
            // A machine that is restored from a template has the device of that.
            guest.hardwareAddress = (interface.guestMAC ?? "").split(separator: ":").compactMap { UInt8($0, radix: 16) }
            guest.mtu = UInt32(clamping: interface.mtu ?? 0)
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

    /// Makes interfaces that lead nowhere, for a machine whose guest is saved before it has a network.
    ///
    /// The calling thread, and those that it starts, have a network namespace of their own from then on.
    ///
    /// - Returns: Interfaces on TAPs of this process, as those of `init(_:)` are: a guest sees no difference but in addresses.
    /// - Throws: `RuntimeSpecification.Problem`; it needs CAP_SYS_ADMIN and CAP_NET_ADMIN for any interface.
    package static func nowhere(
        interfaceCount: Int
    ) throws(RuntimeSpecification.Problem) -> [NetworkInterface] {
        guard interfaceCount > 0 else { return [] }
        let error = cnetwork_leave()
        guard error == 0 else {
            throw RuntimeSpecification.Problem("cannot make a network namespace: \(Errno(rawValue: -error))")
        }
        var description: [JSONValue] = []
        for index in 0..<interfaceCount {
            let tap = "martlet\(index)"
            let error = unsafe cnetwork_tap_make(tap, 0, 1500)
            guard error > 0 else {
                throw RuntimeSpecification.Problem("cannot make the TAP \(tap): \(Errno(rawValue: -error))")
            }
            // The guest's driver never accepts larger packets than it learns of now.
            description.append(["tap": .string(tap), "mtu": .integer(Int64(NetworkInterface.mtus.upperBound))])
        }
        return try ContainerNetwork(.array(description)).interfaces
    }

    private static func number(_ value: JSONValue) -> UInt32 { UInt32(truncatingIfNeeded: value.integerValue ?? 0) }
}
