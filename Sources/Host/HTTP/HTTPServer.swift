// SPDX-License-Identifier: Apache-2.0

package import Host
import Synchronization
package import SystemPackage

/// A server for HTTP/1.1 on a Unix socket: one thread for all connections, which never waits for a client.
///
///     let socket = try UnixSocket.listen(at: path)
///     let server = try HTTPServer(socket: socket, style: HTTPServerStyle(name: "Martlet")) { request, responder in
///         responder.send(HTTPResponse(204))
///     }
///     try server.start()
package final class HTTPServer: Sendable {
    private let context: HTTPServerContext
    /// The socket, until the thread takes it.
    private let listener: Mutex<UnixSocket?>
    private let connectionCount: ConnectionCount
    private let thread = Mutex<HostThread?>(nil)
    /// Holds the thread until the server serves.
    private let gate = StartGate()
    /// Handlers parse JSON and make machines.
    private static let stackByteCount = 2 << 20

    /// Makes a server that has not started.
    ///
    /// - Parameters:
    ///   - socket: Where it listens; closed by `stop()`, unless others have it too. Its file is not removed. `nil` where
    ///     `start(on:)` gets it.
    ///   - limits: What clients may take.
    ///   - style: The form of its answers.
    ///   - isAllowed: Whether a client may be here; otherwise it gets 403. Called on the server's thread.
    ///   - onConnectionCountChange: Called with the number of connections, each time that it changes, on the
    ///     server's thread. Those that were refused do not count, nor do those that were given away by an upgrade.
    ///   - handler: Gets each request, on the server's thread: it does not block, and answers at once or later.
    /// - Throws: `Errno` where the host has no descriptor left.
    package init(
        socket: UnixSocket? = nil,
        limits: HTTPServerLimits = HTTPServerLimits(),
        style: HTTPServerStyle,
        isAllowed: @escaping @Sendable (PeerCredentials) -> Bool = { _ in true },
        onConnectionCountChange: @escaping @Sendable (Int) -> Void = { _ in },
        handler: @escaping @Sendable (HTTPRequest, HTTPResponder) -> Void
    ) throws(Errno) {
        let connectionCount = ConnectionCount()
        self.connectionCount = connectionCount
        listener = Mutex(socket)
        context = HTTPServerContext(
            limits: limits,
            style: style,
            isAllowed: isAllowed,
            onConnectionCountChange: { count in
                connectionCount.value.store(count, ordering: .relaxed)
                onConnectionCountChange(count)
            },
            handler: handler,
            mailbox: try ServerMailbox()
        )
    }

    /// The number of open connections; those that were refused or given away do not count.
    package var openConnectionCount: Int { connectionCount.value.load(ordering: .relaxed) }

    /// Makes the server's thread, which waits for `start`: for a process that makes no thread later.
    package func makeThread() throws(HostThreadError) {
        guard thread.withLock({ $0 == nil }) else { return }
        let made = try HostThread("http", stackByteCount: Self.stackByteCount, gate: gate) { [self] in
            guard let listener = listener.withLock({ $0.take() }) else { return }
            var loop = HTTPServerLoop(context: context, listener: listener)
            loop.run()
        }
        thread.withLock { $0 = made }
    }

    /// Starts to serve; once.
    ///
    /// It serves until `stop()`, also where nobody has the server any more.
    ///
    /// - Parameter socket: Where it listens, unless `init` got that.
    /// - Throws: `HostThreadError`.
    package func start(on socket: UnixSocket? = nil) throws(HostThreadError) {
        if let socket { listener.withLock { $0 = socket } }
        guard listener.withLock({ $0 != nil }) else { return }
        try makeThread()
        gate.open()
    }

    /// Calls a function on the server's thread, before later answers are sent; never if the server does not serve.
    ///
    /// - Parameter body: Does not block.
    package func run(_ body: @escaping @Sendable () -> Void) {
        context.mailbox.post(.run(body))
    }

    /// Accepts no more connections, lets clients take responses that were sent, closes all, and returns when that is done.
    ///
    /// Not from a handler or another of its callbacks: they run on the thread that this waits for. What was not answered
    /// gets no answer any more.
    package func stop() {
        gate.close()
        listener.withLock { $0 = nil }
        context.mailbox.post(.stop)
        thread.withLock { $0 }?.join()
    }
}

/// A number that the server's thread changes and others read.
private final class ConnectionCount: Sendable {
    let value = Atomic<Int>(0)
}

/// The values that a server and all its connections share.
struct HTTPServerContext: Sendable {
    let limits: HTTPServerLimits
    let style: HTTPServerStyle
    let isAllowed: @Sendable (PeerCredentials) -> Bool
    let onConnectionCountChange: @Sendable (Int) -> Void
    let handler: @Sendable (HTTPRequest, HTTPResponder) -> Void
    let mailbox: ServerMailbox
}

/// The form of a server's answers, besides their content.
package struct HTTPServerStyle: Sendable {
    /// The value of the Server header field.
    package var name: String
    /// Indicates whether the status is followed by its meaning in words, which HTTP/1.1 leaves open (RFC 9112, 4).
    package var hasReasons = true
    /// Makes the answer to an invalid request, after which the connection ends.
    package var answer: @Sendable (HTTPFault) -> HTTPResponse = { HTTPResponse($0) }
    /// The value of the Connection header field of such an answer.
    package var faultConnection = "close"

    /// Makes the usual form.
    ///
    /// - Parameter name: The value of the Server header field.
    package init(name: String) {
        self.name = name
    }
}

/// The limits on what clients may take of a server.
package struct HTTPServerLimits: Sendable {
    /// The greatest number of connections.
    ///
    /// A further client takes the place of the client that has been idle longest, else of one that sends its request slowest, else
    /// of one whose answer has taken `answerTime`. It is answered with 503 where there is none of them.
    package var connectionCount = 64
    /// The time that an answer may take before its client gives way to a new one: what waits for the end of a machine.
    package var answerTime = Duration.seconds(1)
    /// The time that a request may take to come in, from its first byte.
    package var requestTime = Duration.seconds(10)
    /// The time for which a connection may be open without a request.
    package var idleTime = Duration.seconds(60)
    /// The time that the client may take for a response.
    package var responseTime = Duration.seconds(10)
    /// The time for which `stop()` waits for responses to be taken.
    package var stopTime = Duration.seconds(1)
    package var request = HTTPParserLimits()

    /// The time that a client that was refused may go on sending, so that it sees why.
    var lingerTime: Duration { min(responseTime, .seconds(2)) }

    /// The usual limits.
    package init() {}
}
