// SPDX-License-Identifier: Apache-2.0

import CNetwork
import Glibc
import Host
import JSON
import SystemPackage

/// The network of a container: the interfaces that an engine made in its namespace, each tied to a TAP that the machine opens.
///
/// The guest takes an interface's addresses over. What arrives there goes out of the TAP and the other way round (tc-mirred), so the
/// host's kernel itself answers nothing any more.
enum ContainerNetwork {
    /// The most interfaces of a machine.
    private static let interfaceLimit = 8

    /// The address from which the host's side of a pod's namespace reaches the guest's loopback addresses: link-local, and none of those that
    /// networks of Kubernetes are known to use.
    private static let ownAddress = UInt32(0xa9fe_6d6c).bigEndian  // 169.254.109.108

    /// The kernel parameter that a guest needs for that, where it has an interface.
    static let loopbackParameter = "net.ipv4.conf.eth0.route_localnet"

    /// Ties the interfaces of a container that has been created and not started.
    ///
    /// - Parameters:
    ///   - process: The container's.
    ///   - isPod: Whether engines forward ports to it: they connect to 127.0.0.1 in its namespace.
    /// - Returns: A description of each; none where the container has the loopback interface alone.
    /// - Throws: `RuntimeProblem`.
    static func tie(of process: pid_t, isPod: Bool) throws(RuntimeProblem) -> [JSONValue] {
        let own = try openNamespace("/proc/thread-self/ns/net")
        let other = try openNamespace("/proc/\(process)/ns/net")
        guard try number(of: own) != number(of: other) else {
            throw RuntimeProblem("a machine cannot share the host's network: leave out --network=host")
        }
        try enter(other)
        let result = Result { () throws(RuntimeProblem) in try tieInterfaces(isPod) }
        try enter(own)
        return try result.get()
    }

    /// Removes the TAPs of a machine that has not opened them; they end with one that has.
    ///
    /// - Parameter path: The namespace of a container that is gone, where the engine made it and may still have it.
    static func untie(_ path: String) {
        guard let own = try? openNamespace("/proc/thread-self/ns/net"), let other = try? openNamespace(path),
            (try? enter(other)) != nil
        else { return }
        var interfaces = [cnetwork_interface](repeating: cnetwork_interface(), count: interfaceLimit * 2)
        let count = unsafe cnetwork_interfaces(&interfaces, CInt(interfaces.count))
        for interface in interfaces.prefix(Int(max(0, count))) where name(of: interface).hasPrefix(tapPrefix) {
            // Another machine's cannot be taken.
            let tap = unsafe cnetwork_tap_take(name(of: interface))
            if tap >= 0 { _ = OwnedDescriptor(adopting: tap) }
        }
        try? enter(own)
    }

    private static func tieInterfaces(_ isPod: Bool) throws(RuntimeProblem) -> [JSONValue] {
        var interfaces = [cnetwork_interface](repeating: cnetwork_interface(), count: interfaceLimit * 2)
        let count = unsafe cnetwork_interfaces(&interfaces, CInt(interfaces.count))
        guard count >= 0 else {
            throw RuntimeProblem("cannot list the container's network interfaces: \(Errno(rawValue: -count))")
        }
        // A machine of this namespace that has ended may have left its own.
        let others = interfaces.prefix(Int(count)).filter { !name(of: $0).hasPrefix(tapPrefix) }
        guard others.count <= interfaceLimit else {
            throw RuntimeProblem("a machine has at most \(interfaceLimit) network interfaces, not \(others.count)")
        }
        var descriptions: [JSONValue] = []
        for (index, interface) in others.enumerated() {
            descriptions.append(try tie(interface, to: "\(tapPrefix)\(index)", servesLoopback: isPod && index == 0))
        }
        return descriptions
    }

    private static let tapPrefix = "martlet"

    private static func tie(
        _ interface: cnetwork_interface,
        to tap: String,
        servesLoopback: Bool
    ) throws(RuntimeProblem) -> JSONValue {
        // The machine's process is root without any right.
        let index = unsafe cnetwork_tap_make(tap, 0, interface.mtu)
        guard index > 0 else {
            switch -index {
            case EBUSY:
                throw RuntimeProblem(
                    "another machine uses this network namespace: containers that share one cannot be machines of their own"
                )
            case ENOENT: throw RuntimeProblem("/dev/net/tun does not exist: this host has no TAP interfaces")
            default: throw RuntimeProblem("cannot make the TAP \(tap): \(Errno(rawValue: -index))")
            }
        }
        let own = name(of: interface)
        for (from, to) in [(interface.index, index), (index, interface.index)] {
            let error = cnetwork_redirect(from, to)
            guard error == 0 else {
                throw RuntimeProblem(
                    "cannot tie \(printable(own)) to the TAP \(tap) by tc-mirred: \(Errno(rawValue: -error))"
                )
            }
        }
        if servesLoopback {
            let error = unsafe withUnsafePointer(to: interface) {
                unsafe cnetwork_serve_loopback(index, $0, tap, ownAddress)
            }
            guard error == 0 else {
                throw RuntimeProblem("cannot lead 127.0.0.1 to the guest by \(tap): \(Errno(rawValue: -error))")
            }
        }
        // The guest's kernel makes the route to an interface's own network by itself, where the mask asks for one.
        let ownNetwork: JSONValue = [
            "to": .integer(Int64(interface.address & interface.mask)), "mask": .integer(Int64(interface.mask)),
            "via": 0,
        ]
        let routes = try routes(of: own)
        let hasOwnNetwork = routes.contains(ownNetwork)
        return [
            "tap": .string(tap), "mtu": .integer(Int64(interface.mtu)), "mac": .string(hardwareAddress(of: interface)),
            "address": .integer(Int64(interface.address)),
            "mask": .integer(hasOwnNetwork ? Int64(interface.mask) : 0xffff_ffff),
            "routes": .array((servesLoopback ? [routeBack] : []) + routes.filter { $0 != ownNetwork }),
        ]
    }

    private static let routeBack: JSONValue = ["to": .integer(Int64(ownAddress)), "mask": 0xffff_ffff, "via": 0]

    /// The routes through an interface, those that need no router first: the others' routers are reached by them.
    private static func routes(of interface: String) throws(RuntimeProblem) -> [JSONValue] {
        let bytes: [UInt8]
        do { bytes = try FileContents.bytes(of: "/proc/thread-self/net/route", limit: 1 << 20, kind: .any) } catch {
            throw RuntimeProblem("cannot read the container's routes: \(error)")
        }
        // Iface Destination Gateway Flags RefCnt Use Metric Mask: addresses as the machine's numbers.
        let rows = String(hostBytes: bytes).split(separator: "\n").dropFirst().map { $0.split(separator: "\t") }
        let routes = rows.filter { $0.count > 7 && $0[0] == interface }.compactMap { row -> (UInt32, JSONValue)? in
            let numbers = [row[1], row[7], row[2]].compactMap { UInt32($0.filter { $0 != " " }, radix: 16) }
            guard numbers.count == 3 else { return nil }
            return (
                numbers[2],
                [
                    "to": .integer(Int64(numbers[0])), "mask": .integer(Int64(numbers[1])),
                    "via": .integer(Int64(numbers[2])),
                ]
            )
        }
        return routes.filter { $0.0 == 0 }.map(\.1) + routes.filter { $0.0 != 0 }.map(\.1)
    }

    private static func name(of interface: cnetwork_interface) -> String {
        unsafe withUnsafeBytes(of: interface.name) { unsafe String(hostBytes: Array($0.prefix { $0 != 0 })) }
    }

    private static func hardwareAddress(of interface: cnetwork_interface) -> String {
        unsafe withUnsafeBytes(of: interface.hardware_address) { unsafe Array($0) }
            .map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    }

    // MARK: - Namespaces

    private static func openNamespace(_ path: String) throws(RuntimeProblem) -> OwnedDescriptor {
        do throws(Errno) { return try OwnedDescriptor(opening: FilePath(hostText: path), O_RDONLY) } catch {
            throw RuntimeProblem("cannot open the container's network namespace \(path): \(error)")
        }
    }

    private static func number(of namespace: borrowing OwnedDescriptor) throws(RuntimeProblem) -> UInt {
        do throws(Errno) { return UInt(try namespace.borrowed.stat().inode.rawValue) } catch {
            throw RuntimeProblem("cannot look at a network namespace: \(error)")
        }
    }

    private static func enter(_ namespace: borrowing OwnedDescriptor) throws(RuntimeProblem) {
        let error = cnetwork_enter(namespace.rawValue)
        guard error == 0 else {
            throw RuntimeProblem("cannot enter a network namespace: \(Errno(rawValue: -error))")
        }
    }
}
