// SPDX-License-Identifier: Apache-2.0

import Host
import SystemPackage

/// The host's sockets: connections that programs of the host ask for, and the events of all.
extension VsockMuxer {
    /// Takes an event of the set.
    mutating func handle(_ event: DescriptorSet.Event) {
        defer { acceptAgain() }
        guard event.token != Self.listenerToken else { return accept() }
        // It may have been removed after the event was taken.
        guard let connection = connections[event.token] else { return }
        // One event may tell of the greeting and of the program's end.
        if connection.state == .greeting { readGreeting(of: connection) }
        switch connection.state {
        case .greeting: break
        case .requested:
            // Its program gave up, or writes already.
            if connection.isPeerGone {
                if connection.isRequestSent { reset(connection.key) }
                remove(connection)
            }
        case .established:
            let wasBlocked = !connection.isFlushed
            guard !event.isWritable || connection.flush() else { return breakPipe(connection) }
            finishIfFlushed(connection)
            // A guest may wait for the whole of the buffer, and nothing later would tell of the last bytes.
            if connection.isCreditDue || wasBlocked && connection.isFlushed { connection.pending.insert(.creditUpdate) }
            if event.isReadable || event.isHungUp || event.hasFailed { connection.isReadable = true }
            list(connection)
        case .lingering:
            if !connection.flush() || connection.isFlushed || event.hasFailed { remove(connection) }
        }
    }

    mutating func accept() {
        while true {
            do throws(Errno) {
                guard let socket = try listener?.accept() else {
                    isAcceptDue = false
                    return
                }
                if connections.count >= Self.connectionMaximum { removeOldestGreeting() }
                // Closed without a byte, as where the guest refuses.
                guard connections.count < Self.connectionMaximum, let connection = add(socket, .greeting) else {
                    continue
                }
                readGreeting(of: connection)
            } catch {
                // No event comes again for those that wait.
                isAcceptDue = true
                return
            }
        }
    }

    /// Accepts those for whom there was no descriptor, as a connection that was removed may have left one.
    mutating func acceptAgain() {
        if isAcceptDue { accept() }
    }

    /// A client that never names a port must not keep others out.
    private mutating func removeOldestGreeting() {
        let oldest = connections.values.filter { $0.state == .greeting }.min { $0.token < $1.token }
        if let oldest { remove(oldest) }
    }

    mutating func add(_ socket: UnixSocket, _ state: VsockConnection.State) -> VsockConnection? {
        let connection = VsockConnection(socket, token: nextToken, state: state)
        guard (try? set.add(socket.descriptor, for: [.readable, .writable], token: nextToken)) != nil else {
            return nil
        }
        connections[nextToken] = connection
        nextToken += 1
        statistics.connectionsAdded += 1
        return connection
    }

    /// Reads `CONNECT port` byte by byte: what follows is for the guest.
    private mutating func readGreeting(of connection: VsockConnection) {
        var byte: [UInt8] = [0]
        while true {
            let count: Int
            do throws(Errno) {
                count = try connection.socket.receive(into: &byte)
            } catch {
                if error != .wouldBlock { remove(connection) }
                return
            }
            guard count > 0 else { return remove(connection) }
            if byte[0] == UInt8(ascii: "\n") { break }
            connection.greeting.append(byte[0])
            guard connection.greeting.count < Self.greetingByteMaximum else { return remove(connection) }
        }
        guard let port = Self.port(in: connection.greeting), let hostPort = freeHostPort(for: port) else {
            return remove(connection)
        }
        connection.state = .requested
        connection.key = VsockKey(hostPort: hostPort, guestPort: port)
        connection.pending = .request
        keys[connection.key] = connection
        list(connection)
    }

    /// The port in a line `CONNECT port`, in whatever case its word is written.
    static func port(in line: [UInt8]) -> UInt32? {
        let words = line.split(omittingEmptySubsequences: true) { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\r") }
        guard words.count == 2, String(decoding: words[0], as: UTF8.self).lowercased() == "connect",
            words[1].allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 })
        else { return nil }
        return UInt32(String(decoding: words[1], as: UTF8.self))
    }

    private mutating func freeHostPort(for guestPort: UInt32) -> UInt32? {
        for _ in 0...Self.connectionMaximum {
            let port = nextHostPort
            nextHostPort = port == Self.hostPorts.upperBound ? Self.hostPorts.lowerBound : port + 1
            if keys[VsockKey(hostPort: port, guestPort: guestPort)] == nil { return port }
        }
        return nil
    }
}
