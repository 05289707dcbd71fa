// SPDX-License-Identifier: Apache-2.0

package import Host
package import SystemPackage

/// The reason why a network cannot be used, or can no longer be used, with the remedy.
package enum NetworkError: Error, Hashable, CustomStringConvertible {
    /// `/dev/net/tun` cannot be opened.
    case noTAPDevice(Errno)
    /// A name that no interface can have.
    case badInterfaceName(String)
    case noInterface(String)
    case notATAP(String)
    case notPermitted(String)
    case interfaceInUse(String)
    /// More queues than the interface was made with.
    case oneQueue(String)
    /// The interface was deleted while it was used.
    case interfaceDeleted(String)
    /// A descriptor that carries no frames.
    case unusableDescriptor(CInt, String)
    /// No program serves a socket.
    case nobodyListens(FilePath)
    /// A path that no socket can have.
    case badSocketPath(UnixSocketError)
    /// A network of the machine's own that cannot be.
    case badUserNetwork(String)
    /// passt(1) is not installed.
    case noPasst
    /// passt(1) does not serve; its own words.
    case passtFailed(String)
    /// A call failed for an interface, a socket or a descriptor.
    case failed(String, operation: String, Errno)
    /// The program at the other end of a socket has gone.
    case peerClosed(String)
    /// The program of a user network has ended unexpectedly.
    case passtEnded
    /// The program at the other end of a socket sent a length that no frame has.
    case badFrameLength(String, UInt32)

    package var description: String {
        switch self {
        case .noTAPDevice(.noSuchFileOrDirectory), .noTAPDevice(.noSuchAddressOrDevice):
            "/dev/net/tun does not exist: load the kernel module with `modprobe tun`"
        case .noTAPDevice(.permissionDenied), .noTAPDevice(.notPermitted):
            "/dev/net/tun: permission denied: run as root, or let your user open it"
        case .noTAPDevice(let errno): "/dev/net/tun: open: \(errno)"
        case .badInterfaceName(let name): "'\(name)' is not the name of a network interface: 1 to 15 bytes, no '/'"
        case .noInterface(let name):
            "there is no network interface \(name): make it with `ip tuntap add \(name) mode tap user $USER vnet_hdr`"
        case .notATAP(let name): "network interface \(name) is not a TAP: `ip tuntap add NAME mode tap` makes one"
        case .notPermitted(let name):
            "network interface \(name) belongs to another user: make it with `ip tuntap add \(name) mode tap user $USER`"
        case .interfaceInUse(let name): "network interface \(name) is in use by another process"
        case .oneQueue(let name):
            "network interface \(name) has one queue: make it with `multi_queue`, or leave `queues=` out"
        case .interfaceDeleted(let name): "network interface \(name) was deleted"
        case .unusableDescriptor(let number, let reason): "descriptor \(number) carries no network frames: \(reason)"
        case .nobodyListens(let path): "socket \(path): no program listens there"
        case .badSocketPath(let error): error.description
        case .badUserNetwork(let reason): reason
        case .noPasst:
            "a network without rights on the host needs passt: `apt install passt`, or use a TAP with --net=tap:NAME"
        case .passtFailed(let words) where words.has("No external routable interface"):
            "passt: this host has no default route, and so no network that a guest could use (\(words))"
        case .passtFailed(let words): "passt: \(words)"
        case .failed(let object, let operation, let errno): "\(object): \(operation): \(errno)"
        case .peerClosed(let object): "\(object): the program at the other end has closed it"
        case .passtEnded: "user network: passt has ended"
        case .badFrameLength(let object, let length):
            "\(object): the program at the other end sent a frame of \(length) bytes, larger than any network's"
        }
    }
}
