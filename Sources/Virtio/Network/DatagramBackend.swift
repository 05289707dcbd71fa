// SPDX-License-Identifier: Apache-2.0

import Glibc
package import Host
package import SystemPackage

/// A socket that carries one frame in each message, without a header: of vmnet-helper, gvproxy or another machine.
package final class DatagramBackend: NetworkBackend {
    private let owned: OwnedDescriptor
    private let name: String
    /// A connection, whose end is a message of no bytes.
    private let isConnection: Bool

    package let hasOffloadHeader = false

    /// - Parameters:
    ///   - descriptor: A connected socket of messages; each call says that it does not wait.
    ///   - name: What messages call it.
    package init(adopting descriptor: consuming OwnedDescriptor, name: String) {
        isConnection = SocketKind(descriptor) == .sequencedPackets
        owned = descriptor
        self.name = name
    }

    package var descriptor: FileDescriptor { owned.borrowed }

    package func setOffloads(_ offloads: NetworkOffloads) {}

    package func send(_ frame: inout FrameVectors) -> NetworkSending {
        guard frame.byteCount <= NetworkFrame.maximumByteCount else { return .dropped(.messageTooLong) }
        let count = unsafe frame.withVectors { unsafe SocketCalls.send(owned.rawValue, $0, $1) }
        if count >= 0 { return .sent }
        switch -count {
        case Int(EAGAIN): return .full
        case Int(EPIPE), Int(ECONNRESET), Int(ENOTCONN), Int(ECONNREFUSED): return .closed(.peerClosed(name))
        // ENOBUFS: the host has no memory for it; EMSGSIZE: more than the socket takes.
        case let error: return .dropped(Errno(rawValue: CInt(error)))
        }
    }

    package func flush() -> NetworkSending { .sent }

    package func receive(into frame: inout FrameVectors) -> NetworkReceiving {
        let place = frame.byteCount
        let count = unsafe frame.withVectors { unsafe SocketCalls.receiveMessage(owned.rawValue, $0, $1) }
        if count == 0, isConnection { return .closed(.peerClosed(name)) }
        if NetworkFrame.minimumByteCount...min(place, NetworkFrame.maximumByteCount) ~= count {
            return .frame(byteCount: count)
        }
        if count >= 0 { return .dropped }
        switch -count {
        case Int(EAGAIN): return .empty
        case Int(ECONNRESET), Int(ENOTCONN), Int(ECONNREFUSED): return .closed(.peerClosed(name))
        case let error: return .closed(.failed(name, operation: "receive", Errno(rawValue: CInt(error))))
        }
    }
}
