// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc
import HTTP
import Host
import Synchronization
import SystemPackage
import TestSupport
import Testing

@Suite struct HTTPServerLimitTests {
    private static let hello = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"

    private func limits(_ change: (inout HTTPServerLimits) -> Void) -> HTTPServerLimits {
        var limits = HTTPServerLimits()
        change(&limits)
        return limits
    }

    @Test func `a request that does not come in is ended in words`() throws {
        let fixture = try ServerFixture(limits { $0.requestTime = .milliseconds(20) })
        let client = try fixture.client()
        client.send("GET /hel")
        #expect(try client.receive().hasPrefix("HTTP/1.1 408 Request Timeout\r\n"))
        // Neither do bytes that come one by one give it more time.
        let slow = try fixture.client()
        slow.send("GET /")
        DispatchQueue(label: "test.slow").async { while slow.send("a") { usleep(2000) } }
        #expect(try slow.receive().hasPrefix("HTTP/1.1 4"))
    }

    @Test func `a connection without a request is closed`() throws {
        let fixture = try ServerFixture(limits { $0.idleTime = .milliseconds(20) })
        let client = try fixture.client()
        #expect(try client.receive() == "")
    }

    @Test func `time does not count while the server owes the answer`() throws {
        let fixture = try ServerFixture(limits { $0.requestTime = .milliseconds(20) })
        let (waiting, slow) = (try fixture.client(), try fixture.client())
        waiting.send("GET /later HTTP/1.1\r\nHost: a\r\n\r\n")
        let responder = try fixture.pending.next()
        // Meanwhile another one's time passes.
        slow.send("GET /hel")
        #expect(try slow.receive().hasPrefix("HTTP/1.1 408"))
        responder.send(HTTPResponse(200, body: Array("later".utf8)))
        #expect(try waiting.receive(until: "later").hasPrefix("HTTP/1.1 200"))
    }

    @Test func `a client that does not take its response is dropped, and others are served meanwhile`() throws {
        let fixture = try ServerFixture(limits { $0.responseTime = .milliseconds(50) })
        let (slow, other) = (try fixture.client(), try fixture.client())
        slow.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        other.send(Self.hello)
        #expect(try other.receive(until: "hello").hasPrefix("HTTP/1.1 200"))
        try fixture.waitForConnections(1)
        #expect(try slow.receive().utf8.count < 4 << 20)
    }

    @Test func `a large response comes whole to who takes it`() throws {
        let fixture = try ServerFixture(limits { $0.responseTime = .seconds(60) })
        let client = try fixture.client()
        client.send("GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        let head = try client.receiveHead()
        #expect(head.contains("\r\nContent-Length: 4194304\r\n"))
        #expect(try client.receive().utf8.count == 4 << 20)
    }

    @Test func `one connection too many is told so where all others are at work`() throws {
        let fixture = try ServerFixture(limits { ($0.connectionCount, $0.answerTime) = (2, .seconds(600)) })
        let working = try [fixture.client(), fixture.client()]
        var responders: [HTTPResponder] = []
        for client in working {
            client.send("GET /later HTTP/1.1\r\nHost: a\r\n\r\n")
            responders.append(try fixture.pending.next())
        }
        // More than are told at once, too.
        for _ in 0..<40 {
            let third = try fixture.client()
            third.send(Self.hello)
            #expect(try third.receive().hasPrefix("HTTP/1.1 503 Service Unavailable\r\n"))
            #expect(fixture.server.openConnectionCount == 2)
        }
        for responder in responders { responder.send(HTTPResponse(204)) }
        for client in working { _ = try client.receive(until: "204") }
        let third = try fixture.client()
        third.send(Self.hello)
        #expect(try third.receive(until: "hello").hasPrefix("HTTP/1.1 200"))
    }

    @Test func `a connection too many takes the place of the client that has been idle longest`() throws {
        let fixture = try ServerFixture(limits { ($0.connectionCount, $0.idleTime) = (2, .seconds(600)) })
        let clients = try (0..<3).map { _ in
            let client = try fixture.client()
            client.send(Self.hello)
            _ = try client.receive(until: "hello")
            return client
        }
        #expect(try clients[0].receive() == "")
        #expect(fixture.server.openConnectionCount == 2)
        for client in clients[1...] {
            client.send(Self.hello)
            #expect(try client.receive(until: "hello").hasPrefix("HTTP/1.1 200"))
        }
    }

    enum Hoarder: String, CaseIterable {
        case idle = ""
        case slow = "GET /hel"
        case waiting = "GET /later HTTP/1.1\r\nHost: a\r\n\r\n"
    }

    @Test(arguments: Hoarder.allCases)
    func `clients that hold every place lock nobody out`(_ hoarder: Hoarder) throws {
        let fixture = try ServerFixture(
            limits { ($0.idleTime, $0.requestTime, $0.answerTime) = (.seconds(600), .seconds(600), .zero) }
        )
        let hoarders = try (0..<200).map { _ in
            let client = try fixture.client()
            client.send(hoarder.rawValue)
            return client
        }
        // In a place that is given away meanwhile, it asks once more, as a user would.
        try Deadline.wait(for: "an answer") {
            let client = try fixture.client()
            client.send(Self.hello)
            return try client.receive(until: "hello").hasPrefix("HTTP/1.1 200")
        }
        withExtendedLifetime(hoarders) {}
    }

    @Test func `a client that waited and gave way is told, and its request is forgotten`() throws {
        let fixture = try ServerFixture(limits { ($0.connectionCount, $0.answerTime) = (1, .zero) })
        let waiting = try fixture.client()
        waiting.send("GET /later HTTP/1.1\r\nHost: a\r\n\r\n")
        let responder = try fixture.pending.next()
        let isGone = DispatchSemaphore(value: 0)
        responder.onClientGone { isGone.signal() }
        let next = try fixture.client()
        next.send(Self.hello)
        #expect(try next.receive(until: "hello").hasPrefix("HTTP/1.1 200"))
        #expect(try waiting.receive().hasPrefix("HTTP/1.1 503 Service Unavailable\r\n"))
        #expect(isGone.wait(timeout: .now() + 60) == .success)
        responder.send(HTTPResponse(204))
    }

    @Test func `a user who may not be here is told so, and gets nothing`() throws {
        let fixture = try ServerFixture(isAllowed: { $0.userID != getuid() })
        let client = try fixture.client()
        client.send(Self.hello)
        let response = try client.receive()
        #expect(response.hasPrefix("HTTP/1.1 403 Forbidden\r\n"))
        #expect(!response.contains("hello"))
        #expect(fixture.server.openConnectionCount == 0)
    }

    @Test func `the owner learns how many connections there are`() throws {
        let counts = Mutex<[Int]>([])
        let fixture = try ServerFixture(onConnectionCountChange: { count in counts.withLock { $0.append(count) } })
        for expected in [1, 0, 1, 0] {
            if expected == 1 {
                let client = try fixture.client()
                client.send(Self.hello)
                _ = try client.receive(until: "hello")
            }
            try fixture.waitForConnections(0)
        }
        fixture.server.stop()
        #expect(counts.withLock { $0 } == [1, 0, 1, 0])
    }

    @Test func `stop closes all connections, those that wait for an answer too`() throws {
        let fixture = try ServerFixture(limits { $0.requestTime = .seconds(600) })
        let isGone = DispatchSemaphore(value: 0)
        let (idle, half, waiting) = (try fixture.client(), try fixture.client(), try fixture.client())
        half.send("GET /hel")
        waiting.send("GET /later HTTP/1.1\r\nHost: a\r\n\r\n")
        let responder = try fixture.pending.next()
        responder.onClientGone { isGone.signal() }
        try fixture.waitForConnections(3)
        fixture.server.stop()
        #expect(fixture.server.openConnectionCount == 0)
        #expect(isGone.wait(timeout: .now()) == .success)
        for client in [idle, half, waiting] { #expect(try client.receive() == "") }
        try Descriptors.waitUntilNone(to: fixture.path.string)
        #expect(throws: UnixSocketError.nobodyListens(fixture.path)) { try fixture.client() }
        // Answers come too late, which harms nobody; nor does another stop.
        responder.send(HTTPResponse(204))
        fixture.server.stop()
    }

    @Test func `stop lets clients take what was sent`() throws {
        let fixture = try ServerFixture(limits { ($0.stopTime, $0.responseTime) = (.seconds(60), .seconds(60)) })
        let client = try fixture.client()
        client.send("GET /later HTTP/1.1\r\nHost: a\r\n\r\n")
        let responder = try fixture.pending.next()
        responder.send(HTTPResponse(200, body: [UInt8](repeating: UInt8(ascii: "x"), count: 4 << 20)))
        let received = Mutex("")
        let isReceived = DispatchSemaphore(value: 0)
        DispatchQueue(label: "test.client").async {
            let text = (try? client.receive()) ?? ""
            received.withLock { $0 = text }
            isReceived.signal()
        }
        fixture.server.stop()
        #expect(isReceived.wait(timeout: .now() + 60) == .success)
        #expect(received.withLock { $0.utf8.count } > 4 << 20)
    }

    @Test func `stop does not wait for clients for ever`() throws {
        let fixture = try ServerFixture(limits { $0.stopTime = .milliseconds(20) })
        let client = try fixture.client()
        client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        _ = try client.receiveHead()
        fixture.server.stop()
        #expect(try client.receive().utf8.count < 4 << 20)
    }

    @Test func `a server that was not started stops at once`() throws {
        let folder = try TemporaryFolder()
        let socket = try UnixSocket.listen(at: FilePath("\(folder.path)/s"))
        try HTTPServer(socket: socket, style: HTTPServerStyle(name: "Test")) { _, _ in }.stop()
        let server = try HTTPServer(style: HTTPServerStyle(name: "Test")) { _, _ in }
        try server.makeThread()
        server.stop()
    }

    @Test func `a thousand connections, however they end, leave no descriptor`() throws {
        let fixture = try ServerFixture()
        let endings = [
            "", "GET /hel", Self.hello, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n", "\u{0}\r\n", Self.hello + Self.hello,
        ]
        func open() throws -> Int { try Descriptors.count(to: fixture.path.string) }
        let before = try open()
        for index in 0..<1000 {
            let client = try fixture.client()
            client.send(endings[index % endings.count])
            if index % 7 == 0 { client.finishSending() }
        }
        try fixture.waitForConnections(0)
        try Deadline.wait(for: "descriptors to be closed") { try open() == before }
    }
}
