// SPDX-License-Identifier: Apache-2.0

import Glibc
package import MachineModel
import SystemPackage

extension PortForward {
    /// Chooses a free port where none is given, and checks that given ports are free.
    ///
    /// - Throws: `PortForwardError`, with the port.
    package mutating func resolve() throws(PortForwardError) {
        guard let hostPorts else {
            let port = try probe(0)
            self.hostPorts = port...port
            return
        }
        for port in hostPorts { _ = try probe(port) }
    }

    /// Binds a socket to a port for a moment.
    private func probe(_ port: UInt16) throws(PortForwardError) -> UInt16 {
        let type = transport == .tcp ? SOCK_STREAM : SOCK_DGRAM
        let socket = socket(AF_INET, CInt(type.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { throw .init("\(self)", "socket: \(Errno(rawValue: errno))") }
        defer { close(socket) }
        // As the listener itself will: connections of a listener that has just ended are not an obstacle.
        var yes: CInt = 1
        if transport == .tcp {
            unsafe setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<CInt>.size))
        }
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = port.bigEndian
        name.sin_addr.s_addr = (address?.rawValue ?? 0).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let error = unsafe withUnsafeMutablePointer(to: &name) { pointer in
            // SAFETY: every address starts as sockaddr does, and the length says where this one ends.
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                guard unsafe bind(socket, pointer, size) == 0 else { return errno }
                return unsafe getsockname(socket, pointer, &size) == 0 ? 0 : errno
            }
        }
        switch error {
        case 0: return UInt16(bigEndian: name.sin_port)
        case EADDRINUSE: throw .init("\(self)", "port \(port) of the host is in use")
        case EACCES: throw .init("\(self)", "port \(port) of the host is below 1024, which needs root rights")
        case EADDRNOTAVAIL: throw .init("\(self)", "the host does not have this address")
        default: throw .init("\(self)", "port \(port) of the host: \(Errno(rawValue: error))")
        }
    }
}
