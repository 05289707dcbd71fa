// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import SystemPackage

/// The work of a server's thread.
struct HTTPServerLoop {
    /// The greatest number of clients that are accepted only for a refusal.
    private static let refusedCount = 16
    /// The time for which no connection is accepted after the host had no descriptor left.
    private static let acceptPause = Duration.milliseconds(100)

    private let context: HTTPServerContext
    private let listener: UnixSocket
    private var connections: [HTTPConnection] = []
    private var lastID: UInt64 = 0
    private var lastCount = 0
    private var buffer = [UInt8](repeating: 0, count: 16 << 10)
    /// Until when no connection is accepted.
    private var acceptDeadline: SuspendingClock.Instant?
    /// The time by which it ends.
    private var stopDeadline: SuspendingClock.Instant?

    init(context: HTTPServerContext, listener: UnixSocket) {
        (self.context, self.listener) = (context, listener)
    }

    /// Serves until `stop`.
    mutating func run() {
        while true {
            takeMessages()
            forgetClosed()
            let now = SuspendingClock.now
            if let stopDeadline, connections.isEmpty || now >= stopDeadline { break }
            wait(now)
        }
        for connection in connections { connection.close() }
        forgetClosed()
        context.mailbox.close()
    }

    private mutating func wait(_ now: SuspendingClock.Instant) {
        if let acceptDeadline, now >= acceptDeadline { self.acceptDeadline = nil }
        let isAccepting =
            stopDeadline == nil && acceptDeadline == nil
            && connections.count < context.limits.connectionCount + Self.refusedCount
        var set = [pollfd(fd: context.mailbox.descriptor.rawValue, events: Int16(POLLIN), revents: 0)]
        // poll(2) ignores negative descriptors.
        set.append(pollfd(fd: isAccepting ? listener.descriptor.rawValue : -1, events: Int16(POLLIN), revents: 0))
        for connection in connections {
            set.append(
                pollfd(fd: connection.socket.descriptor.rawValue, events: Int16(connection.events), revents: 0)
            )
        }
        let deadlines = connections.map(\.deadline) + [acceptDeadline, stopDeadline]
        let count = unsafe poll(&set, nfds_t(set.count), Self.milliseconds(from: now, to: deadlines))
        let end = SuspendingClock.now
        // EINTR, or ENOMEM for which there is nothing better than another try.
        for (connection, entry) in zip(connections, set.dropFirst(2)) {
            if count > 0, entry.revents != 0 { connection.handle(CInt(entry.revents), buffer: &buffer) }
            if let deadline = connection.deadline, end >= deadline { connection.handleDeadline() }
        }
        if count > 0, set[1].revents != 0 { accept() }
    }

    private mutating func takeMessages() {
        for message in context.mailbox.take() {
            switch message {
            case .response(let id, let response): connections.first { $0.id == id }?.send(response)
            case .upgrade(let id, let upgrade): connections.first { $0.id == id }?.send(upgrade)
            case .run(let body): body()
            case .stop:
                stopDeadline = stopDeadline ?? .now + context.limits.stopTime
            }
        }
        guard stopDeadline != nil else { return }
        for connection in connections where !connection.isWriting { connection.close() }
    }

    private mutating func accept() {
        // Few at once, so that they do not keep the others waiting.
        for _ in 0..<16 where connections.count < context.limits.connectionCount + Self.refusedCount {
            do {
                guard let socket = try listener.accept() else { return }
                add(socket)
            } catch {
                acceptDeadline = .now + Self.acceptPause
                return
            }
        }
    }

    private mutating func add(_ socket: UnixSocket) {
        guard let peer = socket.peer else { return }
        lastID += 1
        let connection = HTTPConnection(id: lastID, socket: socket, peer: peer, context: context)
        let count = connections.count { !$0.isRefused && !$0.isClosed }
        connections.append(connection)
        if !context.isAllowed(peer) {
            connection.refuseConnection(HTTPFault(403, "this user may not use this socket"))
        } else if count >= context.limits.connectionCount, !makePlace() {
            connection.refuseConnection(
                HTTPFault(503, "there are \(context.limits.connectionCount) connections already")
            )
        }
        forgetClosed()
    }

    /// Ends the connection that can best do without its place, so that clients that only wait lock nobody out.
    ///
    /// - Returns: False where every connection is at work.
    private func makePlace() -> Bool {
        let now = SuspendingClock.now
        // The last one is the newcomer.
        let candidates = connections.dropLast().compactMap { connection in
            connection.dispensability(now).map { (connection, $0) }
        }
        guard let (victim, _) = candidates.max(by: { $0.1 < $1.1 }) else { return false }
        victim.giveWay()
        return true
    }

    /// Releases closed connections, and reports the number of connections.
    private mutating func forgetClosed() {
        connections.removeAll(where: \.isClosed)
        let count = connections.count { !$0.isRefused }
        guard count != lastCount else { return }
        lastCount = count
        context.onConnectionCountChange(count)
    }

    private static func milliseconds(
        from now: SuspendingClock.Instant,
        to deadlines: [SuspendingClock.Instant?]
    ) -> CInt {
        guard let next = deadlines.compactMap(\.self).min() else { return -1 }
        let (seconds, attoseconds) = now.duration(to: next).components
        // Rounded up: a moment too early would be one more round for nothing.
        return CInt(clamping: max(0, seconds * 1000 + attoseconds / 1_000_000_000_000_000 + 1))
    }
}
