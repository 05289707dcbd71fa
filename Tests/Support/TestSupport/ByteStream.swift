// SPDX-License-Identifier: Apache-2.0

import Glibc

/// This end of what another process reads and writes: one descriptor for both directions, or one for each.
///
/// While it writes it reads as well, so that two sides that wait for each other never stop for good.
package final class ByteStream {
    private var input: CInt?
    private var output: CInt?
    /// Everything read so far.
    package private(set) var received: [UInt8] = []
    /// The number of bytes of `received` that a `read` has given out.
    private var consumedCount = 0
    /// Indicates whether the other side will send nothing more.
    package private(set) var isAtEnd = false

    /// - Parameters:
    ///   - input: Read here; owned by the stream from now on.
    ///   - output: Written here; the same as `input`, or owned as well.
    /// - Throws: `SystemCallFailure`.
    package init(input: CInt?, output: CInt?) throws {
        for descriptor in Set([input, output].compactMap(\.self)) {
            try checked("fcntl", fcntl(descriptor, F_SETFL, O_NONBLOCK))
        }
        (self.input, self.output) = (input, output)
        isAtEnd = input == nil
    }

    deinit { close() }

    /// `received` as text.
    package var text: String { String(decoding: received, as: UTF8.self) }

    /// The number of bytes that were sent and not read yet.
    package var waitingByteCount: Int {
        guard let input else { return 0 }
        var count: CInt = 0
        return unsafe ioctl(input, UInt(FIONREAD), &count) == 0 ? Int(count) : 0
    }

    // MARK: - Reading

    /// Reads until `text` has come, and gives all that came since the last call, `text` included.
    ///
    /// - Throws: `MissedDeadline`, also when the stream ends before.
    @discardableResult
    package func read(until text: String, within duration: Duration = Deadline.standard) throws -> String {
        let wanted = Array(text.utf8)
        let deadline = Deadline(after: duration)
        var searched = consumedCount
        while true {
            if let end = received.end(of: wanted, from: searched) {
                defer { consumedCount = end }
                return String(decoding: received[consumedCount..<end], as: UTF8.self)
            }
            searched = max(consumedCount, received.count - wanted.count + 1)
            guard !isAtEnd, !deadline.hasPassed else {
                let end = isAtEnd ? " until the stream ended" : ""
                throw MissedDeadline(text.debugDescription + end, received: received)
            }
            try pump(until: deadline)
        }
    }

    /// Reads `count` bytes.
    ///
    /// - Throws: `MissedDeadline`, also when the stream ends before.
    package func read(count: Int, within duration: Duration = Deadline.standard) throws -> [UInt8] {
        let deadline = Deadline(after: duration)
        while received.count - consumedCount < count {
            guard !isAtEnd, !deadline.hasPassed else { throw MissedDeadline("\(count) bytes", received: received) }
            try pump(until: deadline)
        }
        defer { consumedCount += count }
        return Array(received[consumedCount...].prefix(count))
    }

    /// Reads until the other side is closed, and gives all that came since the last call.
    ///
    /// - Throws: `MissedDeadline`.
    @discardableResult
    package func readToEnd(within duration: Duration = Deadline.standard) throws -> [UInt8] {
        let deadline = Deadline(after: duration)
        while !isAtEnd {
            guard !deadline.hasPassed else { throw MissedDeadline("the end of the stream", received: received) }
            try pump(until: deadline)
        }
        defer { consumedCount = received.count }
        return Array(received[consumedCount...])
    }

    // MARK: - Writing

    /// Writes all of `bytes`, and keeps what comes meanwhile for `read`.
    ///
    /// - Throws: `MissedDeadline`, or `SystemCallFailure` when the other side is closed.
    package func write(_ bytes: [UInt8], within duration: Duration = Deadline.standard) throws {
        let deadline = Deadline(after: duration)
        var rest = bytes[...]
        while !rest.isEmpty {
            guard !deadline.hasPassed else {
                throw MissedDeadline("\(rest.count) of \(bytes.count) bytes to be taken", received: received)
            }
            try pump(until: deadline, writing: &rest)
        }
    }

    /// Writes all of `text`, as above.
    package func write(_ text: String) throws {
        try write(Array(text.utf8))
    }

    // MARK: - Closing

    /// Closes the direction that is written, where the two have a descriptor each.
    package func closeOutput() {
        guard let output, output != input else { return }
        Glibc.close(output)
        self.output = nil
    }

    /// Says that nothing more is written, over a socket that both directions share.
    package func shutDownOutput() {
        guard let output else { return }
        shutdown(output, CInt(SHUT_WR))
    }

    /// Closes the direction that is read, where the two have a descriptor each.
    package func closeInput() {
        guard let input, input != output else { return }
        Glibc.close(input)
        self.input = nil
        isAtEnd = true
    }

    /// Closes both directions.
    package func close() {
        for descriptor in Set([input, output].compactMap(\.self)) { Glibc.close(descriptor) }
        (input, output, isAtEnd) = (nil, nil, true)
    }

    // MARK: - Both at once

    private func pump(until deadline: Deadline) throws {
        var nothing: ArraySlice<UInt8> = []
        try pump(until: deadline, writing: &nothing)
    }

    /// Waits until something can be read or written, and does so once.
    private func pump(until deadline: Deadline, writing rest: inout ArraySlice<UInt8>) throws {
        // A negative descriptor is one that poll leaves out.
        var polled = [
            pollfd(fd: isAtEnd ? -1 : input ?? -1, events: Int16(POLLIN), revents: 0),
            pollfd(fd: rest.isEmpty ? -1 : output ?? -1, events: Int16(POLLOUT), revents: 0),
        ]
        guard unsafe poll(&polled, 2, deadline.milliseconds) >= 0 || errno == EINTR else {
            throw SystemCallFailure("poll")
        }
        if polled[0].revents != 0 { try readSome(polled[0].fd) }
        if polled[1].revents != 0 {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(polled[1].fd, $0.baseAddress, $0.count) }
            if count > 0 { rest = rest.dropFirst(count) } else if errno != EAGAIN { throw SystemCallFailure("write") }
        }
    }

    private func readSome(_ descriptor: CInt) throws {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
        if count > 0 {
            received += buffer.prefix(count)
        } else if count == 0 || errno == EIO {
            // EIO: nobody has the other side of the pseudoterminal open any more.
            isAtEnd = true
        } else if errno != EAGAIN && errno != EINTR {
            throw SystemCallFailure("read")
        }
    }
}

extension [UInt8] {
    /// The end of the first occurrence of `pattern` that begins at `start` or later.
    fileprivate func end(of pattern: [UInt8], from start: Int) -> Int? {
        guard let first = pattern.first else { return start }
        var position = start
        while position + pattern.count <= count {
            guard let candidate = self[position...(count - pattern.count)].firstIndex(of: first) else { return nil }
            let end = candidate + pattern.count
            if self[candidate..<end].elementsEqual(pattern) { return end }
            position = candidate + 1
        }
        return nil
    }
}
