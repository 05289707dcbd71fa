// SPDX-License-Identifier: Apache-2.0

import Devices
import Glibc
import Host
import Logging
import Synchronization
import SystemPackage

/// The descriptor of a user's terminal, or of a pipe, that input is read from.
final class OwnedInput: Sendable {
    private final class Copy: Sendable {
        let owned: OwnedDescriptor

        init(_ file: FileDescriptor) throws(Errno) {
            owned = try OwnedDescriptor(duplicating: file)
        }
    }

    /// A copy: by the time that it is closed, the original may be another file.
    private let copy: Copy?
    let filter: EscapeFilter
    let isTerminal: Bool

    init(_ file: FileDescriptor, _ filter: EscapeFilter) throws(Errno) {
        do throws(Errno) {
            copy = try Copy(file)
        } catch {
            guard error == .badFileDescriptor else { throw error }
            copy = nil
        }
        self.filter = filter
        isTerminal = Terminal.isTerminal(file)
    }

    /// `nil` for a descriptor that was not open.
    var descriptor: FileDescriptor? { copy?.owned.borrowed }
}

/// The console's thread: the input, the viewers and the log.
extension MachineConsole {
    static let pieceByteCount = 64 << 10
    /// The time that viewers may take for the last bytes.
    private static let farewellPatience = Duration.seconds(1)

    /// One viewer, as the thread sees it.
    struct Connection {
        let identifier: UInt64
        let stream: any ConsoleStream
        let isTyping: Bool
        /// The next byte that it gets.
        var position: UInt64
        /// The number of bytes that it missed and has no notice of yet.
        var missedByteCount: UInt64 = 0
        var typed: [UInt8]
        /// The last result of poll(2).
        var events: Poll.Events = []
        /// It sends nothing more, and may keep watching.
        var hasInputEnded = false
        var hasEnded = false

        /// Returns whether its input is read now; a watcher's input is dropped.
        func isRead(whileRoom hasRoom: Bool) -> Bool {
            !hasInputEnded && (hasRoom || !isTyping)
        }
    }

    /// The state of the thread alone.
    private struct Work {
        var input: OwnedInput?
        var filter: EscapeFilter
        var isInputReady = false
        var connections: [Connection] = []
        var buffer: [UInt8] = []
    }

    func serve() {
        let input = connected.withLock { $0.input }
        var work = Work(input: input, filter: input?.filter ?? EscapeFilter(prefix: nil))
        while step(&work) {}
        sayFarewell(&work)
        shared.withLock { $0.typistStream = nil }
    }

    private func step(_ work: inout Work) -> Bool {
        wait(&work, hasRoom: feed.withLock { $0.feed.room > 0 }, timeout: nil)
        let isClosing = shared.withLock { shared in
            work.connections += shared.joining
            shared.joining = []
            return shared.isClosing
        }
        writeLog(&work.buffer)
        for index in work.connections.indices { serve(&work.connections[index], &work.buffer) }
        // Input that comes with the end belongs to the shell, which reads it after martlet.
        guard !isClosing else { return false }
        if work.isInputReady { readInput(&work) }
        deliver()
        removeEnded(from: &work.connections)
        return true
    }

    /// Sleeps until there is something to do.
    private func wait(_ work: inout Work, hasRoom: Bool, timeout: Duration?) {
        let (end, isDue) = shared.withLock { shared in
            shared.isThreadAwake = false
            let isLogBehind = shared.places[.log].map { $0.position < shared.ring.end } ?? false
            return (shared.ring.end, isLogBehind || !shared.joining.isEmpty || shared.isClosing)
        }
        let input = hasRoom ? work.input?.descriptor : nil
        var entries: [(descriptor: FileDescriptor?, events: Poll.Events)] = [
            (wake.descriptor, .readable), (input, .readable),
        ]
        for connection in work.connections {
            var events: Poll.Events = []
            if connection.position < end { events.insert(.writable) }
            if connection.isRead(whileRoom: hasRoom) { events.insert(.readable) }
            // poll(2) reports a hang-up unasked. It must wait where input may be left for which there is no room.
            let isIgnored = events.isEmpty && !connection.hasInputEnded
            entries.append((isIgnored ? nil : connection.stream.descriptor, events))
        }
        let ready = Poll.wait(for: entries, timeout: timeout ?? (isDue ? .zero : nil))
        shared.withLock { $0.isThreadAwake = true }
        wake.take()
        work.isInputReady = !ready[1].isEmpty
        for index in work.connections.indices { work.connections[index].events = ready[index + 2] }
    }

    // MARK: - To the guest

    /// Gives the guest as much input as it takes, unless the machine is paused.
    private func deliver() {
        guard let port = shared.withLock({ $0.port }) else { return }
        let before = feed.withLock { feed in
            let before = feed.feed.room
            if !feed.isHeld { feed.feed.deliver(to: port) }
            return before
        }
        // A viewer that wants to type waits only if nobody types.
        guard before == 0 else { return }
        for waiter in shared.withLock({ $0.takeWaiters() }).values { waiter.resume() }
    }

    private func readInput(_ work: inout Work) {
        guard let input = work.input, let file = input.descriptor else { return }
        let bytes: [UInt8]
        do throws(Errno) {
            bytes = try file.readSome(limit: 4096)
        } catch {
            if error == .resourceTemporarilyUnavailable { return }
            bytes = []
        }
        let onEvent = connected.withLock { $0.onEvent }
        guard !bytes.isEmpty else {
            // A pipe or file has an end, after which the guest continues without input. A terminal has none.
            if input.isTerminal { onEvent(.hangUp) }
            return work.input = nil
        }
        var commands: [ConsoleCommand] = []
        feed.withLock { feed in
            for byte in bytes {
                switch work.filter.process(byte) {
                case .byte(let byte): feed.feed.append(byte)
                case .command(.sendBreak): feed.feed.appendLineBreak()
                case .command(let command): commands.append(command)
                case nil: break
                }
            }
        }
        for command in commands { onEvent(.command(command)) }
    }

    // MARK: - The log

    private func writeLog(_ buffer: inout [UInt8]) {
        while true {
            shared.withLock { $0.read(.log, limit: Self.pieceByteCount, into: &buffer) }
            guard !buffer.isEmpty else { return }
            let count = UInt64(buffer.count)
            var failure: Errno?
            log.withLock { log in
                do throws(Errno) {
                    try log?.append(buffer[...])
                } catch {
                    failure = error
                    log = nil
                }
            }
            if let failure {
                logger.warning("the console's log cannot be written: \(failure); the guest goes on without it")
                return updateRoom { $0.places[.log] = nil }
            }
            updateRoom { $0.places[.log]?.position += count }
        }
    }

    // MARK: - Viewers

    private func serve(_ connection: inout Connection, _ buffer: inout [UInt8]) {
        show(&connection, &buffer)
        if !connection.typed.isEmpty {
            feed.withLock { $0.feed.append(connection.typed) }
            connection.typed = []
        }
        let mayRead = !connection.events.isDisjoint(with: [.readable, .hangUp])
        if mayRead, connection.isRead(whileRoom: feed.withLock { $0.feed.room > 0 }) { receive(&connection) }
        if connection.hasInputEnded, !connection.events.isDisjoint(with: [.hangUp, .error]) {
            connection.hasEnded = true
        }
    }

    private func receive(_ connection: inout Connection) {
        do throws(Errno) {
            let bytes = try connection.stream.descriptor.readSome(limit: 4096)
            if bytes.isEmpty { connection.hasInputEnded = true }
            guard connection.isTyping else { return }
            feed.withLock { feed in
                feed.feed.append(bytes)
                // A viewer that hangs up leaves, and may come back.
                if bytes.isEmpty, connection.events.isDisjoint(with: [.hangUp, .error]) { feed.feed.appendEnd() }
            }
        } catch {
            if error != .resourceTemporarilyUnavailable { connection.hasEnded = true }
        }
    }

    /// Sends as much as the viewer takes without waiting.
    private func show(_ connection: inout Connection, _ buffer: inout [UInt8]) {
        while true {
            shared.withLock { shared in
                let lost = shared.ring.start > connection.position ? shared.ring.start - connection.position : 0
                connection.position += lost
                connection.missedByteCount += lost
                shared.ring.copy(from: connection.position, limit: Self.pieceByteCount, into: &buffer)
            }
            if connection.missedByteCount > 0 {
                let notice = "\r\n[martlet: \(connection.missedByteCount) bytes were not shown]\r\n"
                guard send(Array(notice.utf8), to: &connection) > 0 else { return }
                connection.missedByteCount = 0
            }
            guard !buffer.isEmpty else { return }
            let count = send(buffer, to: &connection)
            guard count > 0 else { return }
            connection.position += UInt64(count)
        }
    }

    /// - Returns: The number of bytes that the viewer took; 0 when it takes none now, or none any more.
    private func send(_ bytes: [UInt8], to connection: inout Connection) -> Int {
        let count = unsafe bytes.withUnsafeBytes { buffer in
            let descriptor = connection.stream.descriptor.rawValue
            return unsafe Glibc.send(descriptor, buffer.baseAddress, buffer.count, CInt(MSG_NOSIGNAL))
        }
        if count < 0, errno != EAGAIN, errno != EINTR { connection.hasEnded = true }
        return max(0, count)
    }

    /// Removes connections that have ended, and releases their keyboard.
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

    /// Writes out the log, and sends viewers the last bytes, if they take them soon.
    private func sayFarewell(_ work: inout Work) {
        writeLog(&work.buffer)
        work.input = nil
        let start = ContinuousClock.now
        while true {
            for index in work.connections.indices { show(&work.connections[index], &work.buffer) }
            let end = byteCount
            work.connections.removeAll { $0.hasEnded || $0.position == end }
            let left = Self.farewellPatience - (ContinuousClock.now - start)
            guard !work.connections.isEmpty, left > .zero else { return }
            wait(&work, hasRoom: false, timeout: left)
        }
    }
}
