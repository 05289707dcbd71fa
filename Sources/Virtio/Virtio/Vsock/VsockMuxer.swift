// SPDX-License-Identifier: Apache-2.0

import Devices
import Glibc
import Host
import Network
import SystemPackage

/// All connections of one guest, and the Unix sockets that they lead to: Firecracker's hybrid vsock.
///
/// A program of the host connects to the socket's path and writes `CONNECT port`; it gets `OK port` when the guest has taken
/// the connection, and no byte where it has not. A connection of the guest to port N of the host goes to the path's
/// name with `_N` appended.
///
/// Knows packets, not virtqueues. Not for two threads at once.
struct VsockMuxer {
    static let connectionMaximum = 1023
    /// `CONNECT `, ten digits and a line feed are less.
    static let greetingByteMaximum = 32
    /// The ports that the host's side of connections to the guest has.
    static let hostPorts: ClosedRange<UInt32> = 1 << 30...UInt32.max >> 1
    /// The packets that are kept for a guest that takes none; more are lost, and only to that guest.
    static let resetMaximum = 1024

    let guestCID: UInt64
    private let path: FilePath?
    let listener: UnixSocket?
    let set: DescriptorSet
    private let log: GuestFaultLog

    var connections: [UInt64: VsockConnection] = [:]
    var keys: [VsockKey: VsockConnection] = [:]
    /// The connections that have data for the guest, in order.
    private var listed = RingQueue<VsockConnection>()
    private var resets = RingQueue<VsockKey>()
    var nextToken: UInt64 = 1
    var nextHostPort = VsockMuxer.hostPorts.lowerBound
    /// Connections wait that could not be taken for lack of descriptors.
    var isAcceptDue = false
    var statistics = VsockStatistics()
    /// Called with the packets of connections that the guest gets.
    var onPacket: (@Sendable (VsockPacket) -> Void)?

    static let listenerToken: UInt64 = 0

    /// - Parameters:
    ///   - guestCID: The guest's address.
    ///   - path: The path of the socket, which ports of the guest's connections are added to; `nil` refuses these.
    ///   - listener: The socket, listening; `nil` for none.
    ///   - set: Tells of events of the sockets.
    ///   - log: The log of guest errors.
    /// - Throws: `Errno` where the host has no memory.
    init(
        guestCID: UInt64,
        path: FilePath?,
        listener: UnixSocket?,
        set: DescriptorSet,
        log: GuestFaultLog
    ) throws(Errno) {
        (self.guestCID, self.path, self.listener, self.set, self.log) = (guestCID, path, listener, set, log)
        if let listener { try set.add(listener.descriptor, for: .readable, token: Self.listenerToken) }
    }

    /// Continues after the ports that a restored guest knows.
    mutating func restore(nextHostPort: UInt32) {
        if Self.hostPorts.contains(nextHostPort) { self.nextHostPort = nextHostPort }
    }

    // MARK: - Packets from the guest

    /// Takes a packet of the guest.
    ///
    /// - Parameters:
    ///   - packet: Its header.
    ///   - data: The data after it, `packet.byteCount` bytes.
    mutating func take(_ packet: VsockPacket, _ data: inout FrameVectors) {
        guard packet.sourceCID == guestCID, packet.destinationCID == VsockPacket.hostCID else {
            statistics.sendFailures += 1
            return log.record("a packet from \(packet.sourceCID) to \(packet.destinationCID)")
        }
        let key = VsockKey(hostPort: packet.destinationPort, guestPort: packet.sourcePort)
        guard packet.type == VsockPacket.streamType, let operation = VsockPacket.Operation(rawValue: packet.operation)
        else { return kill(key, "a packet of type \(packet.type), operation \(packet.operation)") }
        statistics.sentPackets += 1
        guard let connection = keys[key] else {
            switch operation {
            case .request: return connect(key, packet)
            // Two sides that know nothing of a connection would answer each other forever.
            case .reset: return
            default: return reset(key)
            }
        }
        connection.takeCredit(packet)
        switch operation {
        case .request: return kill(key, "a second request for port \(key.hostPort)")
        case .response: take(responseTo: connection)
        case .reset: detach(connection)
        case .shutdown: take(shutdownOf: connection, VsockPacket.Shutdown(rawValue: packet.flags))
        case .readWrite: take(dataOf: connection, &data)
        case .creditUpdate: break
        case .creditRequest: connection.pending.insert(.creditUpdate)
        }
        if keys[key] === connection { list(connection) }
    }

    private mutating func take(responseTo connection: VsockConnection) {
        guard connection.state == .requested, connection.isRequestSent else {
            return kill(connection.key, "an answer that nobody asked for")
        }
        let answer = Array("OK \(connection.key.hostPort)\n".utf8)
        // A socket of which nothing was taken yet has room for this.
        guard SocketCalls.send(answer[...], to: connection.socket.descriptor) == answer.count else {
            return resetAndRemove(connection)
        }
        connection.state = .established
        connection.isReadable = true
    }

    private mutating func take(dataOf connection: VsockConnection, _ data: inout FrameVectors) {
        guard connection.state == .established, !connection.guestShutdown.contains(.send) else {
            return kill(connection.key, "data outside of a connection")
        }
        guard connection.hasRoom(for: data.byteCount) else {
            return kill(connection.key, "\(data.byteCount) bytes more than there is room for")
        }
        statistics.sentBytes += UInt64(data.byteCount)
        guard connection.write(&data) else { return breakPipe(connection) }
        if connection.isCreditDue { connection.pending.insert(.creditUpdate) }
    }

    private mutating func take(shutdownOf connection: VsockConnection, _ shutdown: VsockPacket.Shutdown) {
        guard connection.state == .established else { return resetAndRemove(connection) }
        connection.guestShutdown.formUnion(shutdown)
        if connection.guestShutdown.isSuperset(of: .both) {
            // The guest is done with it, and waits for this answer; its data is still written.
            reset(connection.key)
            return detach(connection)
        }
        finishIfFlushed(connection)
    }

    /// Tells the host's program that nothing more comes, once it has all of it.
    func finishIfFlushed(_ connection: VsockConnection) {
        if connection.guestShutdown.contains(.send), connection.isFlushed { connection.finishSending() }
    }

    /// Connects a port of the guest to the program that serves the host's port.
    private mutating func connect(_ key: VsockKey, _ packet: VsockPacket) {
        guard connections.count < Self.connectionMaximum else {
            statistics.connectionsKilled += 1
            return reset(key)
        }
        guard let path, let socket = try? UnixSocket.connectWithoutWaiting(to: FilePath("\(path)_\(key.hostPort)")),
            let connection = add(socket, .established)
        else { return reset(key) }
        connection.key = key
        keys[key] = connection
        connection.takeCredit(packet)
        connection.pending = .response
        connection.isReadable = true
        list(connection)
    }

    // MARK: - Packets for the guest

    /// Indicates whether there is something for the guest, or may be.
    var hasPackets: Bool { !resets.isEmpty || !listed.isEmpty }

    /// Gives the next packet for the guest.
    ///
    /// - Parameter place: The room for data.
    /// - Returns: The header; nil where there was nothing after all.
    mutating func nextPacket(_ place: inout FrameVectors) -> VsockPacket? {
        if let key = resets.popFirst() {
            statistics.receivedPackets += 1
            var packet = VsockPacket()
            packet.sourceCID = VsockPacket.hostCID
            packet.destinationCID = guestCID
            packet.sourcePort = key.hostPort
            packet.destinationPort = key.guestPort
            packet.operation = VsockPacket.Operation.reset.rawValue
            return packet
        }
        guard let connection = listed.popFirst() else { return nil }
        connection.isListed = false
        let packet = nextPacket(of: connection, &place)
        if let packet {
            statistics.receivedPackets += 1
            onPacket?(packet)
        }
        if keys[connection.key] === connection { list(connection) }
        return packet
    }

    private mutating func nextPacket(
        of connection: VsockConnection,
        _ place: inout FrameVectors
    ) -> VsockPacket? {
        if connection.pending.contains(.request) {
            connection.pending = []
            connection.isRequestSent = true
            return connection.packet(.request, guestCID: guestCID)
        }
        if connection.pending.contains(.response) {
            connection.pending.remove(.response)
            return connection.packet(.response, guestCID: guestCID)
        }
        if connection.pending.contains(.creditUpdate) { return connection.packet(.creditUpdate, guestCID: guestCID) }
        if connection.pending.contains(.shutdown) {
            connection.pending.remove(.shutdown)
            var packet = connection.packet(.shutdown, guestCID: guestCID)
            packet.flags = connection.hostShutdown.rawValue
            return packet
        }
        if connection.pending.contains(.creditRequest) {
            connection.pending.remove(.creditRequest)
            return connection.packet(.creditRequest, guestCID: guestCID)
        }
        return dataPacket(of: connection, &place)
    }

    private mutating func dataPacket(
        of connection: VsockConnection,
        _ place: inout FrameVectors
    ) -> VsockPacket? {
        guard wantsToRead(connection) else { return nil }
        place.keepFirst(connection.guestRoom)
        let count = connection.read(into: &place)
        switch count {
        case 1...:
            statistics.receivedBytes += UInt64(count)
            if connection.guestRoom == 0 { connection.pending.insert(.creditRequest) }
            var packet = connection.packet(.readWrite, guestCID: guestCID)
            packet.byteCount = UInt32(count)
            return packet
        case -Int(EAGAIN):
            connection.isReadable = false
        default:
            // The end, or an error, after which nothing comes either.
            connection.isReadable = false
            connection.hasEnded = true
            let isGone = count < 0 || connection.isPeerGone || connection.guestShutdown.contains(.send)
            connection.hostShutdown.formUnion(isGone ? .both : .send)
            connection.pending.insert(.shutdown)
        }
        return nil
    }

    private func wantsToRead(_ connection: VsockConnection) -> Bool {
        connection.state == .established && connection.isReadable && !connection.hasEnded
            && !connection.guestShutdown.contains(.receive) && connection.guestRoom > 0
    }

    mutating func list(_ connection: VsockConnection) {
        guard !connection.isListed, !connection.pending.isEmpty || wantsToRead(connection) else { return }
        connection.isListed = true
        listed.append(connection)
    }

    /// Forgets what a connection has for the guest: one that takes no packets must not keep sockets that are done with.
    private mutating func unlist(_ connection: VsockConnection) {
        guard connection.isListed else { return }
        connection.isListed = false
        listed.remove { $0 === connection }
    }

    // MARK: - Ends

    /// Answers an invalid packet: only its connection ends, if there is one.
    private mutating func kill(_ key: VsockKey, _ reason: @autoclosure () -> String) {
        log.record(reason())
        statistics.sendFailures += 1
        statistics.connectionsKilled += 1
        reset(key)
        if let connection = keys[key] { remove(connection) }
    }

    mutating func reset(_ key: VsockKey) {
        if resets.count < Self.resetMaximum { resets.append(key) }
    }

    /// Ends a connection whose program of the host was found gone by a write.
    mutating func breakPipe(_ connection: VsockConnection) {
        statistics.brokenPipes += 1
        resetAndRemove(connection)
    }

    mutating func resetAndRemove(_ connection: VsockConnection) {
        reset(connection.key)
        remove(connection)
    }

    /// Removes a connection from the guest's view, and continues writing its data.
    private mutating func detach(_ connection: VsockConnection) {
        guard !connection.isFlushed else { return remove(connection) }
        // Its socket was full: an event tells of room.
        unlist(connection)
        keys[connection.key] = nil
        connection.state = .lingering
    }

    mutating func remove(_ connection: VsockConnection) {
        unlist(connection)
        if keys[connection.key] === connection { keys[connection.key] = nil }
        guard connections.removeValue(forKey: connection.token) != nil else { return }
        set.remove(connection.socket.descriptor)
        statistics.connectionsRemoved += 1
    }

    /// Forgets the driver: its connections end, and clients that still wait for a guest keep waiting.
    ///
    /// Also for a vCPU's thread, on which a reset comes: it may close sockets, and neither write to them nor accept others.
    mutating func forgetGuest() {
        resets.removeAll()
        listed.removeAll()
        for connection in Array(connections.values) {
            connection.isListed = false
            switch connection.state {
            case .greeting, .lingering: break
            case .requested:
                connection.pending = .request
                connection.isRequestSent = false
                list(connection)
            case .established: detach(connection)
            }
        }
    }

    var connectionCount: Int { connections.count }
}
