// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import SystemPackage

/// A client's connection, on the server's thread: its phase determines the events that it waits for.
final class HTTPConnection {
    private enum Phase {
        /// For a request, or for more of one.
        case reading
        /// For the handler.
        case handling(ClientPresence)
        /// For place to send the rest of the output.
        case writing(Next)
        /// Waiting for the end of a refused client's data: unread data would reset the connection.
        case lingering
        case closed
    }

    /// The step after the output.
    private enum Next {
        case read
        case linger
        case close
        case upgrade(@Sendable (UnixSocket, [UInt8]) -> Void)
    }

    /// The request that the handler has.
    private struct Current {
        var keepsAlive = false
        var isHead = false
    }

    let id: UInt64
    let socket: UnixSocket
    /// Indicates whether the connection was accepted only for a refusal.
    private(set) var isRefused = false
    private let peer: PeerCredentials
    private let context: HTTPServerContext

    private var phase = Phase.reading {
        didSet { phaseStart = .now }
    }
    private var phaseStart = SuspendingClock.now
    private var parser: HTTPRequestParser
    private var current = Current()
    private var output: ArraySlice<UInt8> = []
    /// The files that came with the request that is being read.
    private var files: PassedFiles?
    /// Indicates whether the client has said that it sends nothing more.
    private var hasInputEnded = false
    /// The time by which the phase must be over.
    private(set) var deadline: SuspendingClock.Instant?
    /// The time by which a request must be whole whose first byte has come.
    private var requestDeadline: SuspendingClock.Instant?

    init(id: UInt64, socket: UnixSocket, peer: PeerCredentials, context: HTTPServerContext) {
        (self.id, self.socket, self.peer, self.context) = (id, socket, peer, context)
        parser = HTTPRequestParser(limits: context.limits.request)
        deadline = .now + context.limits.idleTime
    }

    var isClosed: Bool { if case .closed = phase { true } else { false } }

    /// Indicates whether a response is on its way to the client.
    var isWriting: Bool { if case .writing = phase { true } else { false } }

    /// The events to wait for with poll(2), besides the client's hanging up.
    var events: CInt {
        switch phase {
        case .reading, .lingering: POLLIN
        case .writing: POLLOUT
        case .handling, .closed: 0
        }
    }

    /// Makes as much progress as is possible now.
    func handle(_ events: CInt, buffer: inout [UInt8]) {
        switch phase {
        case .reading, .lingering: receive(into: &buffer)
        case .writing: advance()
        // The client is gone for good: one that only sends nothing more still wants its answer.
        case .handling: if events & (POLLHUP | POLLERR) != 0 { close() }
        case .closed: break
        }
    }

    /// The time has come that `deadline` says.
    func handleDeadline() {
        if case .reading = phase, !parser.isIdle {
            refuse(HTTPFault(408, "the request took too long to come in"))
        } else {
            close()
        }
    }

    func send(_ response: HTTPResponse) {
        guard case .handling = phase else { return }
        let response =
            response.status >= 200 ? response : HTTPResponse(HTTPFault(500, "the answer has no final status"))
        let bytes = response.encoded(
            context.style,
            connection: current.keepsAlive ? "keep-alive" : "close",
            hasBody: !current.isHead
        )
        write(bytes, then: current.keepsAlive ? .read : .close)
    }

    /// Sends 101, and gives the connection away.
    func send(_ upgrade: ServerMailbox.Upgrade) {
        guard case .handling = phase else { return }
        var headers = upgrade.headers
        headers["Upgrade"] = upgrade.name
        let bytes = HTTPResponse(101, headers: headers).encoded(context.style, connection: "Upgrade")
        write(bytes, then: .upgrade(upgrade.onSwitch))
    }

    /// Sends an error as the last response.
    func refuse(_ fault: HTTPFault) {
        let response = context.style.answer(fault)
        write(response.encoded(context.style, connection: context.style.faultConnection), then: .linger)
    }

    /// The same, for a client that should not be here.
    func refuseConnection(_ fault: HTTPFault) {
        isRefused = true
        refuse(fault)
    }

    /// The ease with which a client can do without its connection.
    struct Dispensability: Comparable {
        enum Reason: Int {
            case waits, isSlow, isIdle
        }

        let reason: Reason
        /// The time since the phase began.
        let time: Duration

        static func < (left: Self, right: Self) -> Bool {
            (left.reason.rawValue, left.time) < (right.reason.rawValue, right.time)
        }
    }

    /// - Returns: `nil` for a connection that keeps its place.
    func dispensability(_ now: SuspendingClock.Instant) -> Dispensability? {
        let time = phaseStart.duration(to: now)
        switch phase {
        case .reading where !hasUnreadInput: return .init(reason: parser.isIdle ? .isIdle : .isSlow, time: time)
        case .handling where time >= context.limits.answerTime: return .init(reason: .waits, time: time)
        default: return nil
        }
    }

    private var hasUnreadInput: Bool {
        var entry = pollfd(fd: socket.descriptor.rawValue, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&entry, 1, 0) > 0 && entry.revents & Int16(POLLHUP | POLLERR) == 0
    }

    /// Ends the connection for the sake of a new one; a client in the middle of a request gets an answer.
    func giveWay() {
        isRefused = true
        if case .reading = phase, parser.isIdle { return close() }
        if case .handling(let client) = phase { client.leave() }
        let fault = HTTPFault(503, "there are too many connections, and this one gave way to a new one")
        write(HTTPResponse(fault).encoded(context.style, connection: "close"), then: .close)
    }

    /// Ends it, whatever it waits for.
    func close() {
        let last = phase
        (phase, deadline) = (.closed, nil)
        if case .handling(let client) = last { client.leave() }
    }

    // MARK: - Input

    private func receive(into buffer: inout [UInt8]) {
        do {
            let (count, files) = try socket.receiveWithFiles(into: &buffer)
            if let files {
                guard self.files == nil else {
                    return refuse(HTTPFault(400, "files come with the first byte of a request"))
                }
                self.files = files
            }
            hasInputEnded = count == 0
            if case .lingering = phase {
                if hasInputEnded { close() }
                return
            }
            parser.append(buffer[..<count])
            advance()
        } catch {
            if error != .wouldBlock { close() }
        }
    }

    /// Continues until there is something to wait for.
    private func advance() {
        while true {
            switch phase {
            case .reading:
                guard readRequest() else { return }
            case .writing(let next):
                guard flush() else { return }
                finish(next)
            case .handling, .lingering, .closed: return
            }
        }
    }

    /// Takes a request, or its fault; false where there is neither yet.
    private func readRequest() -> Bool {
        do {
            if let request = try parser.next() {
                handle(request)
            } else if parser.takeExpectation() {
                startOutput(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8), then: .read)
            } else if hasInputEnded {
                close()
            } else {
                if parser.isIdle {
                    (requestDeadline, deadline) = (nil, .now + context.limits.idleTime)
                } else {
                    requestDeadline = requestDeadline ?? .now + context.limits.requestTime
                    deadline = requestDeadline
                }
                return false
            }
        } catch {
            let style = context.style
            startOutput(
                style.answer(error).encoded(style, connection: style.faultConnection),
                then: .linger
            )
        }
        return true
    }

    private func handle(_ request: HTTPRequest) {
        var request = request
        (request.files, files) = (files, nil)
        current = Current(keepsAlive: request.keepsAlive, isHead: request.method == "HEAD")
        let client = ClientPresence()
        (phase, deadline, requestDeadline) = (.handling(client), nil, nil)
        // Not kept here: it answers by itself when it is released.
        context.handler(
            request,
            HTTPResponder(connection: id, peer: peer, mailbox: context.mailbox, client: client)
        )
    }

    // MARK: - Output

    private func write(_ bytes: [UInt8], then next: Next) {
        startOutput(bytes, then: next)
        advance()
    }

    private func startOutput(_ bytes: [UInt8], then next: Next) {
        output = bytes[...]
        (phase, deadline) = (.writing(next), .now + context.limits.responseTime)
    }

    /// Sends as much as there is place for; false while there is a rest.
    private func flush() -> Bool {
        do {
            while !output.isEmpty { output.removeFirst(try socket.send(output)) }
            // The memory of a large response is not kept.
            output = []
            return true
        } catch {
            if error != .wouldBlock { close() }
            return false
        }
    }

    private func finish(_ next: Next) {
        switch next {
        case .read:
            phase = .reading
        case .linger:
            socket.finishSending()
            (phase, deadline) = (.lingering, .now + context.limits.lingerTime)
        case .close:
            close()
        case .upgrade(let onSwitch):
            close()
            onSwitch(socket, parser.takeRest())
        }
    }
}
