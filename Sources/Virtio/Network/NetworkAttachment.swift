// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
package import SystemPackage

/// The place on the host to which a network device is attached.
package enum NetworkAttachment: Hashable, Sendable {
    /// A TAP interface that exists.
    case tap(String)
    /// Descriptors that this process has inherited: one for each queue of a TAP or macvtap, or one socket.
    case descriptors([CInt])
    /// A program that listens on a stream socket; each frame follows its length.
    case stream(FilePath)
    /// A program that listens on a socket of datagrams; each is a frame.
    case datagrams(FilePath)

    package func open(queueCount: Int = 1) throws(NetworkError) -> NetworkConnection {
        switch self {
        case .tap(let name): return try NetworkInterface.open(name, queueCount: queueCount)
        case .descriptors(let numbers): return try Self.adopt(numbers)
        case .stream(let path):
            let socket = try Self.connect(to: path, SOCK_STREAM)
            return NetworkConnection(backends: [StreamBackend(adopting: socket, name: "socket \(path)")])
        case .datagrams(let path):
            let socket = try Self.connect(to: path, SOCK_DGRAM)
            return NetworkConnection(backends: [DatagramBackend(adopting: socket, name: "socket \(path)")])
        }
    }

    /// Finds out whether this process may use TAP interfaces at all.
    package static func checkTAPDevice() throws(NetworkError) { _ = try NetworkInterface.openDevice() }

    /// Tries whether a TAP with a single queue can be opened, which is how Firecracker opens all.
    ///
    /// - Throws: `Errno`, as the kernel's first call that fails gives it.
    package static func probeTAP(_ name: String) throws(Errno) { try NetworkInterface.probe(name) }

    private static func adopt(_ numbers: [CInt]) throws(NetworkError) -> NetworkConnection {
        guard let first = numbers.first else { throw .unusableDescriptor(-1, "none was given") }
        let descriptor = try duplicate(first)
        let name = "descriptor \(first)"
        guard let kind = SocketKind(descriptor) else { return try NetworkInterface.adopt(numbers) }
        guard numbers.count == 1 else { throw .unusableDescriptor(numbers[1], "a socket is one queue") }
        switch kind {
        case .stream:
            return NetworkConnection(backends: [StreamBackend(adopting: descriptor, name: name)])
        case .datagrams, .sequencedPackets:
            return NetworkConnection(backends: [DatagramBackend(adopting: descriptor, name: name)])
        }
    }

    /// A copy of an inherited descriptor; the original goes to no other program any more.
    static func duplicate(_ number: CInt) throws(NetworkError) -> OwnedDescriptor {
        guard number > 2 else { throw .unusableDescriptor(number, "0 to 2 are the standard streams") }
        do throws(Errno) {
            let copy = try OwnedDescriptor(duplicating: FileDescriptor(rawValue: number), atLeast: 3)
            _ = fcntl(number, F_SETFD, FD_CLOEXEC)
            return copy
        } catch {
            throw .unusableDescriptor(number, error == .badFileDescriptor ? "it is not open" : "\(error)")
        }
    }

    private static func connect(to path: FilePath, _ type: __socket_type) throws(NetworkError) -> OwnedDescriptor {
        let raw = socket(AF_UNIX, CInt(type.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard raw >= 0 else { throw .failed("socket \(path)", operation: "socket", Errno(rawValue: errno)) }
        let descriptor = OwnedDescriptor(adopting: raw)
        if type == SOCK_DGRAM { try bindAnywhere(raw, path) }
        let error: CInt
        do throws(UnixSocketError) {
            let address = try UnixAddress(path)
            error = unsafe address.withSocketAddress { unsafe Glibc.connect(raw, $0, $1) }
        } catch {
            throw .badSocketPath(error)
        }
        switch error {
        case 0: return descriptor
        case ENOENT, ECONNREFUSED: throw .nobodyListens(path)
        case let error: throw .failed("socket \(path)", operation: "connect", Errno(rawValue: error))
        }
    }

    /// Gives a socket a name of its own, so that the other side can answer (unix(7), autobind).
    private static func bindAnywhere(_ socket: CInt, _ path: FilePath) throws(NetworkError) {
        var address = sockaddr(sa_family: sa_family_t(AF_UNIX), sa_data: sockaddr().sa_data)
        let size = socklen_t(MemoryLayout<sa_family_t>.size)
        guard unsafe bind(socket, &address, size) == 0 else {
            throw .failed("socket \(path)", operation: "bind", Errno(rawValue: errno))
        }
    }
}
