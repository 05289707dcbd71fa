// SPDX-License-Identifier: Apache-2.0

import Glibc
package import Host
package import SystemPackage

/// A client for command-line tools: it waits for each answer, and keeps the connection for the next request.
package final class HTTPClient {
    private let path: FilePath
    private let limits: HTTPParserLimits
    /// The connection, where there is one that is free.
    private var idle: UnixSocket?
    private var buffer = [UInt8](repeating: 0, count: 16 << 10)

    /// Makes a client; it connects when the first request is made.
    package init(connectingTo path: FilePath) {
        self.path = path
        var limits = HTTPParserLimits()
        limits.headByteCount = 64 << 10
        limits.bodyByteCount = 16 << 20
        self.limits = limits
    }

    /// A segment of a path, or a name or value of a query, percent-encoded as it must be in a target.
    ///
    /// - Returns: ASCII, with nothing in it that has a meaning in a target.
    package static func encoded(_ text: String) -> String { RequestTarget.encoded(text) }

    /// Makes a request and waits for the answer.
    ///
    /// `headers` are fields besides Host, Content-Length and Content-Type; without the last one the body is JSON. `timeout` is
    /// for the whole request. The server gets `files` open, at most `PassedFiles.limit`. The response may have any status; its body
    /// has at most 16 MiB.
    package func request(
        _ method: String,
        _ target: String,
        headers: HTTPHeaders = [:],
        body: [UInt8]? = nil,
        files: [FileDescriptor] = [],
        timeout: Duration = .seconds(30)
    ) throws(HTTPClientError) -> HTTPResponse {
        guard files.count <= PassedFiles.limit else { throw .unusableRequest }
        let request = try Self.encoded(method, target, headers, body)
        var parser = HTTPResponseParser(limits: limits, isAnswerToHead: method == "HEAD")
        let (socket, response) = try exchange(request, files, &parser, timeout)
        if response.status == 101 { throw .malformed("it switches to another protocol unasked") }
        // An unexpected response makes the connection useless.
        idle = parser.keepsAlive && parser.takeRest().isEmpty ? socket : nil
        return response
    }

    /// Asks the server to go on with another protocol.
    ///
    /// `headers` are fields besides Host, Connection and Upgrade. The connection is not this client's any more.
    package func upgrade(
        _ target: String,
        to name: String,
        method: String = "GET",
        headers: HTTPHeaders = [:],
        timeout: Duration = .seconds(30)
    ) throws(HTTPClientError) -> HTTPUpgrade {
        var headers = headers
        headers["Connection"] = "Upgrade"
        headers["Upgrade"] = name
        let request = try Self.encoded(method, target, headers, nil)
        var parser = HTTPResponseParser(limits: limits, isAnswerToHead: false)
        let (socket, response) = try exchange(request, [], &parser, timeout)
        guard response.status == 101 else { throw .upgradeRefused(response) }
        socket.setBlocking(true)
        return HTTPUpgrade(socket: socket, leftover: parser.takeRest(), headers: response.headers)
    }

    private static func encoded(
        _ method: String,
        _ target: String,
        _ headers: HTTPHeaders,
        _ body: [UInt8]?
    ) throws(HTTPClientError) -> [UInt8] {
        var fields = headers
        if fields["Host"] == nil { fields.add("Host", "localhost") }
        if let body {
            fields["Content-Length"] = String(body.count)
            if fields["Content-Type"] == nil { fields.add("Content-Type", "application/json") }
        }
        let isUsable =
            !method.isEmpty && method.utf8.allSatisfy(ASCII.isToken)
            && target.utf8.first == UInt8(ascii: "/") && target.utf8.allSatisfy(ASCII.isVisible)
            && fields.fields.allSatisfy { field in
                !field.name.isEmpty && field.name.utf8.allSatisfy(ASCII.isToken)
                    && field.value.utf8.allSatisfy(ASCII.isFieldValue)
            }
        guard isUsable else { throw .unusableRequest }
        let lines = ["\(method) \(target) HTTP/1.1"] + fields.fields.map { "\($0.name): \($0.value)" }
        return lines.flatMap { Array(($0 + "\r\n").utf8) } + Array("\r\n".utf8) + (body ?? [])
    }

    // MARK: - Connection

    private func exchange(
        _ request: [UInt8],
        _ files: [FileDescriptor],
        _ parser: inout HTTPResponseParser,
        _ timeout: Duration
    ) throws(HTTPClientError) -> (UnixSocket, HTTPResponse) {
        let deadline = SuspendingClock.now + timeout
        let socket = try takeConnection(timeout)
        var (rest, files) = (request[...], files)
        var hasEnded = false
        while true {
            do {
                if let response = try parser.next(hasEnded: hasEnded) { return (socket, response) }
            } catch {
                throw .malformed(error.description)
            }
            guard !hasEnded else { throw .closed }
            // A server may answer, and close, before it has taken the request.
            let events = try wait(for: POLLIN | (rest.isEmpty ? 0 : POLLOUT), on: socket, until: deadline)
            if events & ~POLLOUT != 0 {
                let count = receive(from: socket)
                hasEnded = count == 0
                parser.append(buffer[..<(count ?? 0)])
            } else if !send(&rest, &files, to: socket) {
                rest = []
            }
        }
    }

    /// The number of bytes that came; 0 at the end, which may be an unfriendly one; nil where there are none yet.
    private func receive(from socket: UnixSocket) -> Int? {
        do {
            return try socket.receive(into: &buffer)
        } catch {
            return error == .wouldBlock ? nil : 0
        }
    }

    /// Sends some of `rest`, with `files` before it; false where the server takes nothing more.
    private func send(_ rest: inout ArraySlice<UInt8>, _ files: inout [FileDescriptor], to socket: UnixSocket) -> Bool {
        do {
            rest.removeFirst(try socket.send(rest, with: files))
            files = []
            return true
        } catch {
            return error == .wouldBlock
        }
    }

    private func takeConnection(_ timeout: Duration) throws(HTTPClientError) -> UnixSocket {
        if let socket = idle {
            idle = nil
            // Whatever happens on an idle connection, it is the server that ends it.
            var entry = [pollfd(fd: socket.descriptor.rawValue, events: Int16(POLLIN), revents: 0)]
            if unsafe poll(&entry, 1, 0) == 0 { return socket }
        }
        do {
            let socket = try UnixSocket.connect(to: path, timeout: timeout)
            socket.setBlocking(false)
            return socket
        } catch {
            throw .socket(error)
        }
    }

    private func wait(
        for events: CInt,
        on socket: UnixSocket,
        until deadline: SuspendingClock.Instant
    ) throws(HTTPClientError) -> CInt {
        while true {
            let rest = SuspendingClock.now.duration(to: deadline)
            guard rest > .zero else { throw .timedOut }
            var entry = [pollfd(fd: socket.descriptor.rawValue, events: Int16(events), revents: 0)]
            let milliseconds = rest.components.seconds * 1000 + rest.components.attoseconds / 1_000_000_000_000_000
            let count = unsafe poll(&entry, 1, CInt(clamping: milliseconds + 1))
            if count > 0 { return CInt(entry[0].revents) }
        }
    }
}

/// A connection that has left HTTP for another protocol, as its client has it.
package struct HTTPUpgrade: Sendable {
    /// The connection, which blocks.
    package let socket: UnixSocket
    /// The bytes of the new protocol that the server has sent already.
    package let leftover: [UInt8]
    /// The header fields of the 101 response.
    package let headers: HTTPHeaders
}
