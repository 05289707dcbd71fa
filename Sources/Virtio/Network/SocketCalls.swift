// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
package import SystemPackage

/// The calls that move bytes between a socket and places in memory; none waits, or ends the process by SIGPIPE.
package enum SocketCalls {
    /// Sends as much as the socket takes.
    ///
    /// - Returns: The number of bytes taken, or a negative errno.
    package static func send(_ frame: inout FrameVectors, to socket: FileDescriptor) -> Int {
        unsafe frame.withVectors { unsafe send(socket.rawValue, $0, $1) }
    }

    /// Sends as much as the socket takes.
    ///
    /// - Returns: The number of bytes taken, or a negative errno.
    package static func send(_ bytes: ArraySlice<UInt8>, to socket: FileDescriptor) -> Int {
        unsafe bytes.withUnsafeBytes { bytes in
            while true {
                let count = unsafe Glibc.send(
                    socket.rawValue,
                    bytes.baseAddress,
                    bytes.count,
                    CInt(MSG_DONTWAIT | MSG_NOSIGNAL)
                )
                if count >= 0 { return count }
                if errno != EINTR { return -Int(errno) }
            }
        }
    }

    /// Receives available bytes.
    ///
    /// - Returns: The number of bytes received, 0 at the end of a connection, or a negative errno.
    package static func receive(into frame: inout FrameVectors, from socket: FileDescriptor) -> Int {
        unsafe frame.withVectors { unsafe receive(socket.rawValue, $0, $1) }
    }

    /// Sends; never waits, and never ends the process by SIGPIPE.
    ///
    /// - Returns: The number of bytes taken, or a negative errno.
    @unsafe
    static func send(_ socket: CInt, _ vectors: UnsafePointer<iovec>, _ count: Int) -> Int {
        unsafe call(vectors, count) { unsafe sendmsg(socket, $0, CInt(MSG_DONTWAIT | MSG_NOSIGNAL)) }
    }

    /// Receives; never waits.
    ///
    /// - Returns: The number of bytes received, 0 at the end of a connection, or a negative errno.
    @unsafe
    static func receive(_ socket: CInt, _ vectors: UnsafePointer<iovec>, _ count: Int) -> Int {
        unsafe call(vectors, count) { unsafe recvmsg(socket, $0, CInt(MSG_DONTWAIT)) }
    }

    /// Receives a message; never waits.
    ///
    /// - Returns: The whole size of the message, of which the vectors got as much as fits, or a negative errno.
    @unsafe
    static func receiveMessage(_ socket: CInt, _ vectors: UnsafePointer<iovec>, _ count: Int) -> Int {
        // Not for a stream: TCP would throw the bytes away.
        unsafe call(vectors, count) { unsafe recvmsg(socket, $0, CInt(MSG_DONTWAIT | MSG_TRUNC)) }
    }

    private static func call(
        _ vectors: UnsafePointer<iovec>,
        _ count: Int,
        _ body: (UnsafeMutablePointer<msghdr>) -> Int
    ) -> Int {
        var message = unsafe msghdr()
        // No call changes them.
        unsafe message.msg_iov = UnsafeMutablePointer(mutating: vectors)
        unsafe message.msg_iovlen = count
        while true {
            let result = unsafe body(&message)
            if result >= 0 { return result }
            if errno != EINTR { return -Int(errno) }
        }
    }
}

/// The kinds of sockets that can carry frames.
enum SocketKind {
    case stream
    case datagrams
    case sequencedPackets

    /// Examines a descriptor; nil where it is not a socket, or one of another kind.
    init?(_ descriptor: borrowing OwnedDescriptor) {
        var (type, size): (CInt, socklen_t) = (0, socklen_t(MemoryLayout<CInt>.size))
        guard unsafe getsockopt(descriptor.rawValue, SOL_SOCKET, SO_TYPE, &type, &size) == 0 else { return nil }
        switch type {
        case CInt(SOCK_STREAM.rawValue): self = .stream
        case CInt(SOCK_DGRAM.rawValue): self = .datagrams
        case CInt(SOCK_SEQPACKET.rawValue): self = .sequencedPackets
        default: return nil
        }
    }
}
