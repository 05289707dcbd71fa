// SPDX-License-Identifier: Apache-2.0

import Glibc
package import Host
package import SystemPackage

/// A connection to a guest's agent, for one operation.
package final class AgentConnection {
    /// The time that a container's guest may take to boot, on a host where many do so at once.
    package static let bootPatience = Duration.seconds(600)

    let socket: UnixSocket
    var parser = AgentMessageParser()
    private var added: [UInt8] = []

    /// Takes over a connection that an agent serves.
    package init(_ socket: UnixSocket) {
        self.socket = socket
    }

    /// Connects over a machine's vsock socket, which is Firecracker's: `CONNECT PORT`, then `OK PORT`.
    ///
    /// `patience` is the time that a guest may take to boot; `isAlive` is asked meanwhile whether the machine still runs.
    package convenience init(
        to path: FilePath,
        patience: Duration = .seconds(120),
        isAlive: () -> Bool = { true }
    ) throws(AgentError) {
        let limit = TimeLimit.after(patience)
        // Each try costs a guest that boots some 10,000 instructions, which hosts that interpret them may have few of.
        var pause: UInt32 = 50_000
        while true {
            do throws(UnixSocketError) {
                let socket = try UnixSocket.connect(to: path)
                if (try? socket.connect(toGuestPort: AgentMessage.port, until: limit, while: isAlive)) != nil {
                    self.init(socket)
                    return
                }
            } catch .nobodyListens {
                // The machine has not come so far.
            } catch {
                throw .unreachable("\(error)")
            }
            guard isAlive() else { throw .unreachable("the machine has ended") }
            guard !limit.hasPassed else {
                throw .unreachable("nothing in the guest serves vsock port \(AgentMessage.port)")
            }
            usleep(pause)
            pause = min(2 * pause, 800_000)
        }
    }

    /// Sends a message, however long the guest takes.
    ///
    /// - Throws: `AgentError`: the agent's own where it has said why it takes no more.
    package func send(_ message: AgentMessage) throws(AgentError) {
        try send(message.bytes)
    }

    /// Adds messages to those that are sent next, or a part of one.
    ///
    /// The guest handles messages that arrive together at the cost of one packet.
    func add(_ bytes: [UInt8]) throws(AgentError) {
        added += bytes
        if added.count >= AgentMessage.payloadLimit { try sendAdded() }
    }

    /// Sends what was added.
    func sendAdded() throws(AgentError) {
        defer { added.removeAll(keepingCapacity: true) }
        try send(added)
    }

    private func send(_ bytes: [UInt8]) throws(AgentError) {
        do throws(Errno) {
            try Self.send(bytes, over: socket)
        } catch {
            while let answer = try receive() { try Self.check(answer) }
            throw .hungUp
        }
    }

    static func send(_ bytes: [UInt8], over socket: UnixSocket) throws(Errno) {
        var rest = bytes[...]
        while !rest.isEmpty { rest = rest.dropFirst(try socket.send(rest)) }
    }

    /// Ends the connection, and with it the agent's program.
    package func close() {
        shutdown(socket.descriptor.rawValue, CInt(SHUT_RDWR))
    }

    /// The connection's descriptor, which stays owned here.
    package var socketDescriptor: FileDescriptor { socket.descriptor }

    /// Waits for the next message.
    ///
    /// - Returns: `nil` where the agent has closed the connection.
    package func receive() throws(AgentError) -> AgentMessage? {
        while true {
            if let message = try parser.next() { return message }
            guard try receiveSome() else { return nil }
        }
    }

    /// Waits for bytes.
    ///
    /// - Returns: False at the end.
    func receiveSome() throws(AgentError) -> Bool {
        let bytes = (try? socket.descriptor.readSome(limit: 64 << 10)) ?? []
        parser.append(bytes)
        return !bytes.isEmpty
    }

    /// Throws where the message says that something failed.
    static func check(_ message: AgentMessage) throws(AgentError) {
        guard message.kind == .failed else { return }
        var payload = AgentPayload(message.payload)
        let (errno, text) = (payload.number(UInt32.self), payload.string())
        throw .failed(Errno(rawValue: CInt(truncatingIfNeeded: errno)), text)
    }
}
