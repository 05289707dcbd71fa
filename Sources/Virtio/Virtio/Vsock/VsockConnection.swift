// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import Network
import SystemPackage

/// One connection between a port of the guest and a Unix socket of the host.
///
/// Data goes directly between guest memory and the socket. Only bytes that the socket does not take at once are kept here, at most
/// as many as the guest has credit for.
final class VsockConnection {
    /// The credit that the guest was last given.
    static let bufferByteCount: UInt32 = 64 << 10

    enum State {
        /// A program of the host has connected and is writing `CONNECT port`.
        case greeting
        /// The guest was, or will be, asked whether it takes the connection.
        case requested
        case established
        /// The guest has forgotten it; its data is still being written.
        case lingering
    }

    /// A packet for the guest that needs no data.
    struct Pending: OptionSet {
        let rawValue: UInt8

        static let request = Self(rawValue: 1)
        static let response = Self(rawValue: 2)
        static let creditUpdate = Self(rawValue: 4)
        static let creditRequest = Self(rawValue: 8)
        static let shutdown = Self(rawValue: 16)
    }

    let socket: UnixSocket
    /// The tag of its socket's events.
    let token: UInt64
    var state: State
    var key = VsockKey(hostPort: 0, guestPort: 0)
    /// The part of `CONNECT port` that has come.
    var greeting: [UInt8] = []

    // MARK: For the guest
    var pending: Pending = []
    /// It stands in the list of those that have something for the guest.
    var isListed = false
    /// The request has left; a driver that comes after a reset is asked again.
    var isRequestSent = false
    /// Bytes may be there to be read.
    var isReadable = false
    /// Indicates whether the end was read and reported to the guest.
    var hasEnded = false
    /// The directions that were reported to the guest as closed by the host.
    var hostShutdown: VsockPacket.Shutdown = []
    /// Indicates whether the host's program got the end of the data.
    private var isFinished = false
    private var sentCount: UInt32 = 0
    private var guestBufferByteCount: UInt32 = 0
    private var guestForwardedCount: UInt32 = 0

    // MARK: From the guest
    var guestShutdown: VsockPacket.Shutdown = []
    private(set) var forwardedCount: UInt32 = 0
    private var toldForwardedCount: UInt32 = 0
    private var unsent: [UInt8] = []
    private var unsentStart = 0

    init(_ socket: UnixSocket, token: UInt64, state: State) {
        self.socket = socket
        self.token = token
        self.state = state
    }

    // MARK: - Credit

    /// Takes the guest's credit, which is in every packet.
    func takeCredit(_ packet: VsockPacket) {
        guestBufferByteCount = packet.bufferByteCount
        guestForwardedCount = packet.forwardedCount
        pending.remove(.creditRequest)
    }

    /// The number of bytes for which the guest has room; 0 where its numbers make no sense.
    var guestRoom: Int {
        let onTheWay = sentCount &- guestForwardedCount
        return onTheWay > guestBufferByteCount ? 0 : Int(guestBufferByteCount - onTheWay)
    }

    /// Returns whether there is room for so many bytes more from the guest.
    func hasRoom(for byteCount: Int) -> Bool {
        unsent.count - unsentStart + byteCount <= Int(Self.bufferByteCount)
    }

    /// Indicates whether the guest should get new credit: when it has half of it at most.
    var isCreditDue: Bool { forwardedCount &- toldForwardedCount >= Self.bufferByteCount / 2 }

    /// A packet of this connection to the guest, which also carries the credit.
    func packet(_ operation: VsockPacket.Operation, guestCID: UInt64) -> VsockPacket {
        toldForwardedCount = forwardedCount
        pending.remove(.creditUpdate)
        var packet = VsockPacket()
        packet.sourceCID = VsockPacket.hostCID
        packet.destinationCID = guestCID
        packet.sourcePort = key.hostPort
        packet.destinationPort = key.guestPort
        packet.operation = operation.rawValue
        packet.bufferByteCount = Self.bufferByteCount
        packet.forwardedCount = forwardedCount
        return packet
    }

    // MARK: - Data

    /// Indicates whether all data of the guest is written.
    var isFlushed: Bool { unsentStart == unsent.count }

    /// Tells the host's program that nothing more comes, once.
    ///
    /// Each shutdown(2) is an event of the socket, also one that changes nothing.
    func finishSending() {
        guard !isFinished else { return }
        isFinished = true
        socket.finishSending()
    }

    /// Writes the guest's data, and keeps the bytes that the socket does not take.
    ///
    /// - Returns: Whether the socket can still be written to.
    func write(_ data: inout FrameVectors) -> Bool {
        let byteCount = data.byteCount
        var written = 0
        if isFlushed {
            written = SocketCalls.send(&data, to: socket.descriptor)
            if written == -Int(EAGAIN) { written = 0 }
            guard written >= 0 else { return false }
        }
        forwardedCount &+= UInt32(written)
        if written < byteCount { data.append(to: &unsent, from: written) }
        return true
    }

    /// Writes kept bytes.
    ///
    /// - Returns: Whether the socket can still be written to.
    func flush() -> Bool {
        while !isFlushed {
            let written = SocketCalls.send(unsent[unsentStart...], to: socket.descriptor)
            if written == -Int(EAGAIN) { return true }
            guard written >= 0 else { return false }
            unsentStart += written
            forwardedCount &+= UInt32(written)
        }
        unsent.removeAll(keepingCapacity: unsent.capacity <= Int(Self.bufferByteCount))
        unsentStart = 0
        return true
    }

    /// Reads for the guest.
    ///
    /// - Returns: The number of bytes received, 0 at the end, or a negative errno.
    func read(into place: inout FrameVectors) -> Int {
        let count = SocketCalls.receive(into: &place, from: socket.descriptor)
        if count > 0 { sentCount &+= UInt32(count) }
        return count
    }

    /// Indicates whether the program at the other end has gone altogether, and not only finished sending.
    var isPeerGone: Bool {
        var set = pollfd(fd: socket.descriptor.rawValue, events: 0, revents: 0)
        return unsafe poll(&set, 1, 0) == 1 && set.revents & Int16(POLLHUP | POLLERR) != 0
    }
}

/// The two ports of a connection, which tell it from all others of a guest.
struct VsockKey: Hashable {
    let hostPort: UInt32
    let guestPort: UInt32
}
