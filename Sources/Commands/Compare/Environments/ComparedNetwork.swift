// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A network for one instance of each environment, with a server on the host's side.
///
/// It lies in network namespaces of its own, which two processes keep: when they are gone, it is. So the host's networks have no
/// part in it, and nothing stays.
final class ComparedNetwork {
    /// The port at which `subject serve` listens.
    static let port = "7000"
    /// The machine's interface of the host's side.
    static let tap = "tap0"
    private static let nsenter = "/usr/bin/nsenter"

    /// The host's side: the server, in the namespace of the process and of the other ends of all interfaces.
    private let server: HostProcess
    /// A program that does nothing in the container's namespace.
    private let container: HostProcess

    init(_ place: Workplace) throws(ComparisonError) {
        guard geteuid() == 0 else { throw .unexpected("needs root rights, for network namespaces and interfaces") }
        let subject = "\(place.userSpace.programs)/\(UserSpace.subject)"
        let unshare = ["/usr/bin/unshare", "--net"]
        let tap = Self.tap
        let setUp = """
            ip link set lo up && ip tuntap add \(tap) mode tap && ip addr add \(Self.address(.machine, 1))/24 dev \(tap) \
            && ip link set \(tap) up && exec "$0" serve \(Self.port)
            """
        let messages = "network.log"
        server = try place.start(unshare + ["/bin/sh", "-c", setUp, subject], messages: messages)
        container = try place.start(unshare + [subject, "idle"], messages: messages)
        for process in [server, container] {
            guard try process.readLine(within: 30)?.text == "ready" else {
                throw .unexpected(process.lastMessage ?? "the network's server did not start")
            }
        }
        let (outer, inner) = (Self.address(.container, 1), Self.address(.container, 2))
        let veth = "ip link add veth0 type veth peer name eth0 netns \(container.identifier)"
        for (process, line) in [
            (server, "\(veth) && ip addr add \(outer)/24 dev veth0 && ip link set veth0 up"),
            (container, "ip link set lo up && ip addr add \(inner)/24 dev eth0 && ip link set eth0 up"),
        ] {
            let command = Self.entering(process) + ["/bin/sh", "-c", line]
            let step = try place.start(command, messages: messages)
            guard try step.waitForEnd(within: 30).status == 0 else {
                throw .unexpected("the network cannot be made: \(step.lastMessage ?? line)")
            }
        }
    }

    private static func entering(_ process: HostProcess) -> [String] {
        [nsenter, "--net=/proc/\(process.identifier)/ns/net", "--"]
    }

    /// The words before a command of the host that put it on the host's side.
    var launcher: [String] { Self.entering(server) }

    /// The container's namespace, as its description names it.
    var containerNamespace: String { "/proc/\(container.identifier)/ns/net" }

    /// The address of the server, as an environment sees it.
    static func serverAddress(_ kind: EnvironmentKind) -> String { kind == .process ? "127.0.0.1" : address(kind, 1) }

    static let machineAddress = address(.machine, 2)

    private static func address(_ kind: EnvironmentKind, _ number: Int) -> String {
        "10.90.\(kind == .container ? 1 : 2).\(number)"
    }
}
