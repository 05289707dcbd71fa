// SPDX-License-Identifier: Apache-2.0

import Dispatch
import HTTP
import Host
import Synchronization
import SystemPackage
import TestSupport

/// A server in a folder of its own, for one test.
///
/// `GET /hello` is answered at once, `/echo` with the body, `/file` with the last file that came with the request; `/later` waits in `pending` for the test to answer; `/forget`
/// is never answered; `/large` has 4 MiB; `/switch` continues with bytes that come back in capitals.
final class ServerFixture {
    typealias Handler = @Sendable (HTTPRequest, HTTPResponder) -> Void

    let folder: TemporaryFolder
    let path: FilePath
    let server: HTTPServer
    let pending: Pending

    init(
        _ limits: HTTPServerLimits = HTTPServerLimits(),
        isAllowed: @escaping @Sendable (PeerCredentials) -> Bool = { _ in true },
        onConnectionCountChange: @escaping @Sendable (Int) -> Void = { _ in }
    ) throws {
        folder = try TemporaryFolder()
        path = FilePath("\(folder.path)/api.socket")
        let pending = Pending()
        self.pending = pending
        server = try HTTPServer(
            socket: try UnixSocket.listen(at: path),
            limits: limits,
            style: HTTPServerStyle(name: "Test"),
            isAllowed: isAllowed,
            onConnectionCountChange: onConnectionCountChange
        ) { request, responder in
            switch request.path {
            case "/hello": responder.send(HTTPResponse(200, body: Array("hello".utf8)))
            case "/echo": responder.send(HTTPResponse(200, headers: ["Content-Type": "text/plain"], body: request.body))
            case "/file":
                let file = request.files?.descriptors.last
                responder.send(HTTPResponse(200, body: (try? file?.bytes(count: 100, at: 0)) ?? []))
            case "/none": responder.send(HTTPResponse(204))
            case "/later": pending.add(responder)
            case "/forget": break
            case "/large":
                responder.send(HTTPResponse(200, body: [UInt8](repeating: UInt8(ascii: "x"), count: 4 << 20)))
            case "/switch":
                responder.upgrade(to: "capitals", headers: ["X-Info": "a"]) { socket, leftover in
                    Self.answerInCapitals(socket, leftover)
                }
            default: responder.send(HTTPResponse(404, body: Array("{}".utf8)))
            }
        }
        try server.start()
    }

    deinit {
        server.stop()
    }

    func client() throws -> RawClient { try RawClient(path) }

    /// Waits until the server has this many connections.
    func waitForConnections(_ count: Int) throws {
        try Deadline.wait(for: "\(count) connections") { server.openConnectionCount == count }
    }

    private static func answerInCapitals(_ socket: UnixSocket, _ leftover: [UInt8]) {
        DispatchQueue(label: "test.capitals").async {
            socket.setBlocking(true)
            var bytes = leftover
            while true {
                let capitals = Array(String(decoding: bytes, as: UTF8.self).uppercased().utf8)
                guard (try? socket.descriptor.writeAll(capitals)) != nil else { return }
                bytes = [UInt8](repeating: 0, count: 100)
                let count =
                    (try? unsafe bytes.withUnsafeMutableBytes { unsafe try socket.descriptor.read(into: $0) }) ?? 0
                if count == 0 { return }
                bytes.removeLast(bytes.count - count)
            }
        }
    }
}

/// Requests that wait for their answer.
final class Pending: Sendable {
    private let responders = Mutex<[HTTPResponder]>([])
    private let count = DispatchSemaphore(value: 0)

    func add(_ responder: HTTPResponder) {
        responders.withLock { $0.append(responder) }
        count.signal()
    }

    /// Waits for a request.
    func next() throws -> HTTPResponder {
        guard count.wait(timeout: .now() + 60) == .success else { throw MissedDeadline("a request") }
        return responders.withLock { $0.removeFirst() }
    }
}
