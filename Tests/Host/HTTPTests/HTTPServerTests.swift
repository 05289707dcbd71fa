// SPDX-License-Identifier: Apache-2.0

import Dispatch
import HTTP
import Host
import Synchronization
import TestSupport
import Testing

@Suite struct HTTPServerTests {
    private static func get(_ path: String, _ fields: String = "") -> String {
        "GET \(path) HTTP/1.1\r\nHost: a\r\n\(fields)\r\n"
    }

    @Test func `a response has the fields that a client needs`() throws {
        let fixture = try ServerFixture()
        let client = try fixture.client()
        client.send(Self.get("/hello"))
        #expect(
            try client.receive(until: "hello")
                == "HTTP/1.1 200 OK\r\nServer: Test\r\nConnection: keep-alive\r\n"
                + "Content-Type: application/json\r\nContent-Length: 5\r\n\r\nhello"
        )
        client.send(Self.get("/none"))
        #expect(
            try client.receiveHead() == "HTTP/1.1 204 No Content\r\nServer: Test\r\nConnection: keep-alive\r\n\r\n"
        )
        client.send("HEAD /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        let head = try client.receive()
        #expect(head.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(head.contains("\r\nConnection: close\r\n"))
        #expect(head.contains("\r\nContent-Length: 5\r\n"))
        #expect(head.hasSuffix("\r\n\r\n"))
    }

    @Test func `a connection serves one request after the other, also those that come at once`() throws {
        let fixture = try ServerFixture()
        let client = try fixture.client()
        let bodies = (0..<200).map { "body \($0)!" }
        let requests = bodies.map { "PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: \($0.utf8.count)\r\n\r\n\($0)" }
        client.send(requests.joined())
        for body in bodies {
            #expect(try client.receiveHead().hasPrefix("HTTP/1.1 200"))
            #expect(try client.receive(until: "!") == body)
        }
        for request in requests.prefix(5) {
            client.send(request)
            #expect(try client.receive(until: "!").contains("keep-alive\r\n"))
        }
    }

    @Test(arguments: [
        ("GET /hello HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n", true),
        ("GET /hello HTTP/1.0\r\n\r\n", true),
        ("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false),
    ])
    func `a connection is closed where the client wants it so`(request: String, closes: Bool) throws {
        let fixture = try ServerFixture()
        let client = try fixture.client()
        client.send(request + request)
        let end = try closes ? client.receive() : client.receive(until: "hello")
        #expect(end.components(of: "HTTP/1.1 200") == 1)
        #expect(end.contains(closes ? "Connection: close" : "Connection: keep-alive"))
        if !closes { #expect(try client.receive(until: "hello").hasPrefix("HTTP/1.1 200")) }
    }

    @Test func `a client that says that it sends nothing more gets its answers`() throws {
        let fixture = try ServerFixture()
        let client = try fixture.client()
        client.send(Self.get("/hello") + Self.get("/later"))
        client.finishSending()
        let responder = try fixture.pending.next()
        responder.send(HTTPResponse(200, body: Array("later".utf8)))
        #expect(try client.receive().hasSuffix("later"))
    }

    @Test func `what is no request is answered in words, and the connection is over`() throws {
        let fixture = try ServerFixture()
        let client = try fixture.client()
        // More than the server reads before it knows: that must not cost the client the answer.
        client.send(
            "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n" + String(repeating: "x", count: 99_999)
        )
        let response = try client.receive()
        #expect(response.hasPrefix("HTTP/1.1 413 Content Too Large\r\n"))
        #expect(
            response.hasSuffix(
                #"{"fault_message":"Request payload with size 99999 is larger than the limit of 51200 allowed by server."}"#
            )
        )
    }

    @Test func `a client that waits for 100 before its body is told to go on`() throws {
        let fixture = try ServerFixture()
        let client = try fixture.client()
        client.send("PUT /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        #expect(try client.receiveHead() == "HTTP/1.1 100 Continue\r\n\r\n")
        client.send("abc")
        #expect(try client.receive(until: "abc").hasPrefix("HTTP/1.1 200 OK\r\n"))
    }

    @Test func `an answer may come later, from any thread, while others are served`() throws {
        let fixture = try ServerFixture()
        let (first, second) = (try fixture.client(), try fixture.client())
        first.send(Self.get("/later") + Self.get("/hello"))
        let responder = try fixture.pending.next()
        second.send(Self.get("/hello"))
        #expect(try second.receive(until: "hello").hasPrefix("HTTP/1.1 200"))
        DispatchQueue(label: "test.answer").async {
            responder.send(HTTPResponse(202, body: Array("later".utf8)))
            // Only the first counts.
            responder.send(HTTPResponse(500))
        }
        #expect(try first.receive(until: "later").hasPrefix("HTTP/1.1 202 Accepted\r\n"))
        #expect(try first.receive(until: "hello").hasPrefix("HTTP/1.1 200 OK\r\n"))
    }

    @Test func `a request that nobody answers is answered with 500`() throws {
        let fixture = try ServerFixture()
        let client = try fixture.client()
        client.send(Self.get("/forget"))
        #expect(try client.receive(until: "}").hasPrefix("HTTP/1.1 500 Internal Server Error\r\n"))
        client.send(Self.get("/hello"))
        #expect(try client.receive(until: "hello").hasPrefix("HTTP/1.1 200"))
    }

    @Test func `who works on an answer learns that the client is gone`() throws {
        let fixture = try ServerFixture()
        let isGone = DispatchSemaphore(value: 0)
        var client: RawClient? = try fixture.client()
        client?.send(Self.get("/later"))
        let responder = try fixture.pending.next()
        #expect(responder.peer.userID == client?.socket.peer?.userID)
        responder.onClientGone { isGone.signal() }
        client = nil
        #expect(isGone.wait(timeout: .now() + 60) == .success)
        try fixture.waitForConnections(0)
        // At once, for who asks afterwards.
        responder.onClientGone { isGone.signal() }
        #expect(isGone.wait(timeout: .now()) == .success)
        responder.send(HTTPResponse(204))
    }

    @Test func `a client that got its answer is not gone`() throws {
        let fixture = try ServerFixture()
        let isGone = Atomic<Bool>(false)
        var client: RawClient? = try fixture.client()
        client?.send(Self.get("/later"))
        let responder = try fixture.pending.next()
        responder.onClientGone { isGone.store(true, ordering: .relaxed) }
        responder.send(HTTPResponse(204))
        _ = try client?.receiveHead()
        client = nil
        try fixture.waitForConnections(0)
        let wasCalled = isGone.load(ordering: .relaxed)
        #expect(!wasCalled)
    }

    @Test func `a connection goes on with another protocol, in both directions`() throws {
        let fixture = try ServerFixture()
        let client = try fixture.client()
        client.send(Self.get("/switch", "Connection: upgrade\r\nUpgrade: capitals\r\n") + "early ")
        #expect(
            try client.receiveHead()
                == "HTTP/1.1 101 Switching Protocols\r\nX-Info: a\r\nUpgrade: capitals\r\nServer: Test\r\n"
                + "Connection: Upgrade\r\n\r\n"
        )
        #expect(try client.receive(until: " ") == "EARLY ")
        client.send("late.")
        #expect(try client.receive(until: ".") == "LATE.")
        try fixture.waitForConnections(0)
    }
}

extension String {
    /// Returns the number of times that `text` is in it.
    fileprivate func components(of text: String) -> Int {
        var (rest, count) = (self[...], 0)
        while let first = rest.firstRange(of: text) {
            (rest, count) = (rest[first.upperBound...], count + 1)
        }
        return count
    }
}
