// SPDX-License-Identifier: Apache-2.0

package import Devices
import Dispatch
import Glibc
import Host
package import Logging
import Synchronization
package import SystemPackage

/// The console of a machine that nobody need watch: keeps the last of what the guest sent, writes all of it to a log, and
/// shows it to any number of viewers, of which one types.
///
/// A viewer that reads slowly, or not at all, holds nobody up: what it has not taken when it gives way in the ring is lost to
/// it, and it is told. The log alone may hold the guest back, as a slow line would: it is the host's file.
package final class ConsoleHub: SerialOutput, SerialInput {
    /// How much a new viewer is shown of what was before.
    package static let replayByteCount = 1 << 20
    /// How many viewers there may be.
    package static let viewerLimit = 32
    /// How far the log may be behind.
    private static let logHighWaterMark: UInt64 = 256 << 10
    private static let pieceByteCount = 64 << 10

    /// What vCPUs, viewers and the hub's thread share.
    private struct Shared {
        var ring = ReplayRing(capacity: ConsoleHub.replayByteCount)
        /// How far the log has come.
        var logged: UInt64 = 0
        var isThreadAwake = false
        var nextIdentifier: UInt64 = 1
        var viewerCount = 0
        /// Who types, and the connection where there is one already.
        var typist: UInt64?
        var typistStream: (any ConsoleStream)?
        var joining: [Connection] = []
        var lineBreakCount = 0
        var port: SerialPort?
        var isClosing = false

        /// Lets another one type; from now on nothing comes from this viewer.
        mutating func releaseKeyboard(of identifier: UInt64) {
            if typist == identifier { (typist, typistStream) = (nil, nil) }
        }

        /// Whether who types has left, which the hub's thread may be about to see.
        var hasTypistLeft: Bool {
            guard let typistStream else { return false }
            let hangUp: Int16 = 0x2000  // POLLRDHUP, which glibc has behind _GNU_SOURCE only
            var set = pollfd(fd: typistStream.descriptor.rawValue, events: hangUp, revents: 0)
            return unsafe poll(&set, 1, 0) > 0 && set.revents & (hangUp | Int16(POLLHUP)) != 0
        }
    }

    /// One viewer, as the hub's thread sees it.
    private struct Connection {
        let identifier: UInt64
        let stream: any ConsoleStream
        let isTyping: Bool
        /// The next byte that it gets.
        var position: UInt64
        /// What it was too slow for, and has not been told of.
        var missedByteCount: UInt64 = 0
        var typed: [UInt8]
        /// What poll(2) said last.
        var events: CInt = 0
        /// It sends nothing more, and may watch on.
        var hasInputEnded = false
        var hasEnded = false

        /// Whether what it sends is read now; a watcher's is thrown away.
        func isRead(whileRoom hasRoom: Bool) -> Bool {
            !hasInputEnded && (hasRoom || !isTyping)
        }
    }

    private let shared = Mutex(Shared())
    private let isFull = Atomic<Bool>(false)
    private let wake: EventFD
    private let log: Mutex<ConsoleLog?>
    private let logger: Logger
    private let ended = DispatchGroup()
    /// How long viewers may take for the last bytes, in milliseconds.
    private static let farewellPatience = 1000

    /// - Parameters:
    ///   - log: Takes all that the guest sends; `nil` for none.
    ///   - logger: Where it is said when the log fails.
    /// - Throws: `Errno` where the process has no descriptor left.
    package init(log: consuming ConsoleLog? = nil, logger: Logger) throws(Errno) {
        wake = try EventFD()
        self.log = Mutex(log)
        self.logger = logger
    }

    // MARK: - The guest's side

    package var hasRoom: Bool {
        !isFull.load(ordering: .relaxed)
    }

    package func write(_ byte: UInt8) {
        let wakesThread = shared.withLock { shared in
            shared.ring.append(byte)
            if shared.ring.end - shared.logged >= Self.logHighWaterMark { isFull.store(true, ordering: .relaxed) }
            defer { shared.isThreadAwake = true }
            return !shared.isThreadAwake
        }
        if wakesThread { wake.signal() }
    }

    package func serialPortIsReady() {
        wake.signal()
    }

    /// How many bytes the guest has sent.
    package var byteCount: UInt64 {
        shared.withLock { $0.ring.end }
    }

    // MARK: - The viewers' side

    /// Makes place for a viewer.
    ///
    /// - Parameters:
    ///   - position: The first byte that it wants, as the number of bytes before it; `nil` for the oldest that is kept.
    ///   - wantsToType: Whether it wants to type, which it may if nobody else does.
    /// - Returns: The viewer, to be connected; `nil` where there are `viewerLimit` already.
    package func makeViewer(from position: UInt64? = nil, wantsToType: Bool) -> ConsoleViewer? {
        shared.withLock { shared in
            guard shared.viewerCount < Self.viewerLimit else { return nil }
            shared.viewerCount += 1
            let identifier = shared.nextIdentifier
            shared.nextIdentifier += 1
            let isTyping = wantsToType && (shared.typist == nil || shared.hasTypistLeft)
            if isTyping { (shared.typist, shared.typistStream) = (identifier, nil) }
            let first = min(max(position ?? 0, shared.ring.start), shared.ring.end)
            return ConsoleViewer(identifier: identifier, firstPosition: first, isTyping: isTyping, hub: self)
        }
    }

    /// Sends a break on the serial line, behind what was typed before.
    package func sendBreak() {
        shared.withLock { $0.lineBreakCount += 1 }
        wake.signal()
    }

    func connect(_ viewer: ConsoleViewer, _ stream: any ConsoleStream, typed: [UInt8]) {
        let flags = fcntl(stream.descriptor.rawValue, F_GETFL)
        _ = fcntl(stream.descriptor.rawValue, F_SETFL, flags | O_NONBLOCK)
        shared.withLock { shared in
            if shared.typist == viewer.identifier { shared.typistStream = stream }
            shared.joining.append(
                Connection(
                    identifier: viewer.identifier,
                    stream: stream,
                    isTyping: viewer.isTyping,
                    position: viewer.firstPosition,
                    typed: viewer.isTyping ? typed : []
                )
            )
        }
        wake.signal()
    }

    /// The viewer is gone.
    func remove(_ identifier: UInt64) {
        shared.withLock { shared in
            shared.releaseKeyboard(of: identifier)
            shared.viewerCount -= 1
        }
    }

    // MARK: - Life

    /// Starts to serve, on a thread of its own.
    ///
    /// - Parameter port: Takes what is typed.
    package func start(port: SerialPort) {
        shared.withLock { $0.port = port }
        DispatchQueue(label: "martlet.console").async(group: ended) { [self] in
            var connections: [Connection] = []
            var feed = SerialFeed()
            while step(&connections, &feed, port) {}
            sayFarewell(&connections)
            // The port has this hub as its output; a connection ends with the last one who has it.
            shared.withLock { ($0.port, $0.typistStream) = (nil, nil) }
        }
    }

    /// Writes out what the guest sent, to the log and to viewers that take it soon; then ends all connections.
    package func finish() {
        shared.withLock { $0.isClosing = true }
        wake.signal()
        ended.wait()
    }

    // MARK: - The hub's thread

    private func step(_ connections: inout [Connection], _ feed: inout SerialFeed, _ port: SerialPort) -> Bool {
        wait(for: &connections, hasRoom: feed.hasRoom, timeout: -1)
        let (isClosing, lineBreaks) = shared.withLock { shared in
            shared.isThreadAwake = false
            connections += shared.joining
            shared.joining = []
            defer { shared.lineBreakCount = 0 }
            return (shared.isClosing, shared.lineBreakCount)
        }
        writeLog()
        for index in connections.indices { serve(&connections[index], &feed) }
        for _ in 0..<lineBreaks { feed.appendLineBreak() }
        feed.deliver(to: port)
        removeEnded(from: &connections)
        return !isClosing
    }

    /// Sleeps until there is something to do.
    private func wait(for connections: inout [Connection], hasRoom: Bool, timeout: CInt) {
        let end = byteCount
        var set = [pollfd(fd: wake.descriptor.rawValue, events: Int16(POLLIN), revents: 0)]
        for connection in connections {
            var events: CInt = 0
            if connection.position < end { events |= POLLOUT }
            if connection.isRead(whileRoom: hasRoom) { events |= POLLIN }
            // A hang-up shows without being asked for. It has to wait where input may be left that there is no room for.
            let isIgnored = events == 0 && !connection.hasInputEnded
            let descriptor = connection.stream.descriptor.rawValue
            set.append(pollfd(fd: isIgnored ? -1 : descriptor, events: Int16(events), revents: 0))
        }
        _ = unsafe poll(&set, nfds_t(set.count), timeout)
        wake.take()
        for index in connections.indices { connections[index].events = CInt(set[index + 1].revents) }
    }

    private func serve(_ connection: inout Connection, _ feed: inout SerialFeed) {
        show(&connection)
        for byte in connection.typed { feed.append(byte) }
        connection.typed = []
        if connection.events & (POLLIN | POLLHUP) != 0, connection.isRead(whileRoom: feed.hasRoom) {
            receive(&connection, &feed)
        }
        if connection.hasInputEnded, connection.events & (POLLHUP | POLLERR) != 0 { connection.hasEnded = true }
    }

    private func receive(_ connection: inout Connection, _ feed: inout SerialFeed) {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let descriptor = connection.stream.descriptor.rawValue
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
        if count > 0 {
            guard connection.isTyping else { return }
            for byte in buffer.prefix(count) { feed.append(byte) }
        } else if count == 0 {
            connection.hasInputEnded = true
        } else if errno != EAGAIN, errno != EINTR {
            connection.hasEnded = true
        }
    }

    /// Sends what the viewer takes at once.
    private func show(_ connection: inout Connection) {
        while true {
            let (piece, lost) = shared.withLock { shared in
                let lost = shared.ring.start > connection.position ? shared.ring.start - connection.position : 0
                connection.position += lost
                return (shared.ring.piece(from: connection.position, limit: Self.pieceByteCount), lost)
            }
            connection.missedByteCount += lost
            if connection.missedByteCount > 0 {
                let notice = "\r\n[martlet: \(connection.missedByteCount) bytes were not shown]\r\n"
                guard send(Array(notice.utf8)[...], to: &connection) > 0 else { return }
                connection.missedByteCount = 0
            }
            guard !piece.isEmpty else { return }
            let count = send(piece, to: &connection)
            guard count > 0 else { return }
            connection.position += UInt64(count)
        }
    }

    /// - Returns: How many bytes the viewer took; 0 when it takes none now, or none any more.
    private func send(_ bytes: ArraySlice<UInt8>, to connection: inout Connection) -> Int {
        let count = unsafe bytes.withUnsafeBytes { buffer in
            let descriptor = connection.stream.descriptor.rawValue
            return unsafe Glibc.send(descriptor, buffer.baseAddress, buffer.count, CInt(MSG_NOSIGNAL))
        }
        if count < 0, errno != EAGAIN, errno != EINTR { connection.hasEnded = true }
        return max(0, count)
    }

    /// Forgets connections that have ended, and gives their keyboard back.
    private func removeEnded(from connections: inout [Connection]) {
        for connection in connections {
            if connection.hasEnded {
                remove(connection.identifier)
            } else if connection.hasInputEnded {
                shared.withLock { $0.releaseKeyboard(of: connection.identifier) }
            }
        }
        connections.removeAll(where: \.hasEnded)
    }

    private func writeLog() {
        while true {
            let piece = shared.withLock { shared in
                // What the ring has lost is lost to the log as well: only where the host's file took nothing for long.
                shared.logged = max(shared.logged, shared.ring.start)
                return shared.ring.piece(from: shared.logged, limit: Self.pieceByteCount)
            }
            guard !piece.isEmpty else { break }
            log.withLock { log in
                do {
                    try log?.append(piece)
                } catch {
                    logger.warning("the console's log cannot be written: \(error); the guest goes on without")
                    log = nil
                }
            }
            shared.withLock { $0.logged += UInt64(piece.count) }
        }
        if isFull.exchange(false, ordering: .relaxed) { shared.withLock { $0.port }?.outputBecameReady() }
    }

    /// Shows viewers the last bytes, as far as they take them soon.
    private func sayFarewell(_ connections: inout [Connection]) {
        writeLog()
        let start = ContinuousClock.now
        while true {
            for index in connections.indices { show(&connections[index]) }
            let end = byteCount
            connections.removeAll { $0.hasEnded || $0.position == end }
            let left = .milliseconds(Self.farewellPatience) - (ContinuousClock.now - start)
            guard !connections.isEmpty, left > .zero else { return }
            wait(for: &connections, hasRoom: false, timeout: CInt(left / .milliseconds(1)))
        }
    }
}
