// SPDX-License-Identifier: Apache-2.0

package import Glibc
package import Host

/// Two connected Unix sockets: one for a back end, one for the test, which plays the program at the other end.
package struct SocketPair: ~Copyable {
    /// The back end's end, until it is taken.
    package var backend: OwnedDescriptor?
    package private(set) var peer: CInt
    package let backendNumber: CInt

    package init(_ type: __socket_type, sendBuffer: CInt? = nil) throws {
        var ends: [CInt] = [-1, -1]
        guard unsafe socketpair(AF_UNIX, CInt(type.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw MissedDeadline("a pair of sockets")
        }
        backend = OwnedDescriptor(adopting: ends[0])
        peer = ends[1]
        backendNumber = ends[0]
        if var size = sendBuffer {
            unsafe setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout<CInt>.size))
        }
    }

    /// Hands out the back end's end.
    package mutating func take() throws -> OwnedDescriptor {
        guard let taken = backend.take() else { throw MissedDeadline("the socket: it was taken") }
        return taken
    }

    package func write(_ bytes: [UInt8]) {
        _ = unsafe send(peer, bytes, bytes.count, CInt(MSG_NOSIGNAL))
    }

    /// Reads what has come, at most `limit` bytes, without waiting.
    package func read(_ limit: Int = 1 << 20) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = unsafe recv(peer, &bytes, limit, CInt(MSG_DONTWAIT))
        return Array(bytes.prefix(max(0, count)))
    }

    package mutating func closePeer() {
        // A process that another test is just starting may have a copy of the descriptor.
        shutdown(peer, CInt(SHUT_RDWR))
        close(peer)
        peer = -1
    }

    deinit { if peer >= 0 { close(peer) } }
}
