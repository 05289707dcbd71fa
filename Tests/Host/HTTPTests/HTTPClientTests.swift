// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc
import HTTP
import Host
import SystemPackage
import TestSupport
import Testing

@Suite struct HTTPClientTests {
    @Test func `requests share one connection`() throws {
        var limits = HTTPServerLimits()
        limits.responseTime = .seconds(60)
        let fixture = try ServerFixture(limits)
        let client = HTTPClient(connectingTo: fixture.path)
        for index in 0..<20 {
            let body = Array("body \(index)".utf8)
            let response = try client.request("PUT", "/echo", body: body)
            #expect(response.status == 200)
            #expect(response.headers["content-type"] == "text/plain")
            #expect(response.body == body)
            #expect(try client.request("GET", "/none").status == 204)
            #expect(try client.request("HEAD", "/hello").body == [])
            #expect(try client.request("GET", "/nothing").status == 404)
        }
        #expect(fixture.server.openConnectionCount == 1)
        #expect(try client.request("GET", "/large", timeout: Deadline.standard).body.count == 4 << 20)
    }

    @Test func `files come open with a request, and are closed with it`() throws {
        let fixture = try ServerFixture()
        let client = HTTPClient(connectingTo: fixture.path)
        try fixture.folder.write(Array("one".utf8), to: "one")
        try fixture.folder.write(Array("other".utf8), to: "other")
        let files = try ["one", "other"].map {
            try OwnedDescriptor(opening: FilePath("\(fixture.folder.path)/\($0)"), O_RDONLY).release()
        }
        let passed = PassedFiles(adopting: files)
        for _ in 0..<3 {
            let response = try client.request("GET", "/file", files: passed.descriptors)
            #expect(String(decoding: response.body, as: UTF8.self) == "other")
            #expect(try client.request("GET", "/file").body.isEmpty)
        }
        // This process is both ends, and keeps its own two.
        try Descriptors.wait(forCount: 1, of: "\(fixture.folder.path)/one")
        #expect(try client.request("GET", "/hello", files: passed.descriptors).status == 200)
        try Descriptors.wait(forCount: 1, of: "\(fixture.folder.path)/other")
    }

    @Test func `files of a request come together, and an unfinished one keeps no more of them`() throws {
        let fixture = try ServerFixture()
        try fixture.folder.write([], to: "file")
        let path = "\(fixture.folder.path)/file"
        let file = PassedFiles(adopting: [try OwnedDescriptor(opening: FilePath(path), O_RDONLY).release()])
        let many = [FileDescriptor](repeating: file.descriptors[0], count: PassedFiles.limit)
        let client = try UnixSocket.connect(to: fixture.path)
        _ = try client.send(Array("GET".utf8)[...], with: many)
        try Descriptors.wait(forCount: 1 + many.count, of: path)
        _ = try client.send(Array(" /".utf8)[...], with: many)
        var answer = [UInt8](repeating: 0, count: 1000)
        let count = try client.receive(into: &answer)
        #expect(String(decoding: answer.prefix(count), as: UTF8.self).hasPrefix("HTTP/1.1 400"))
        withExtendedLifetime(client) {}
    }

    @Test func `a connection that the server has closed is replaced`() throws {
        let folder = try TemporaryFolder()
        let path = FilePath("\(folder.path)/s")
        let client = HTTPClient(connectingTo: path)
        for _ in 0..<3 {
            let server = try HTTPServer(socket: try UnixSocket.listen(at: path), style: HTTPServerStyle(name: "Test")) {
                _,
                responder in
                responder.send(HTTPResponse(204))
            }
            try server.start()
            #expect(try client.request("GET", "/").status == 204)
            server.stop()
            try Descriptors.waitUntilNone(to: path.string)
        }
    }

    @Test func `a path is encoded by segments`() throws {
        #expect(HTTPClient.encoded("a b/é%~.") == "a%20b%2F%C3%A9%25~.")
    }

    @Test func `a connection goes on with another protocol, or the answer says why not`() throws {
        let fixture = try ServerFixture()
        let client = HTTPClient(connectingTo: fixture.path)
        let upgrade = try client.upgrade("/switch", to: "capitals")
        #expect(upgrade.headers["X-Info"] == "a")
        #expect(upgrade.leftover == [])
        try upgrade.socket.descriptor.writeAll(Array("hello".utf8))
        var buffer = [UInt8](repeating: 0, count: 5)
        #expect(unsafe recv(upgrade.socket.descriptor.rawValue, &buffer, 5, CInt(MSG_WAITALL)) == 5)
        #expect(buffer == Array("HELLO".utf8))
        let error = #expect(throws: HTTPClientError.self) { try client.upgrade("/none", to: "capitals") }
        #expect(error?.description == "the server answered 204 No Content instead of switching protocols")
    }

    @Test func `what the server sent of the new protocol already is there`() throws {
        let text = "HTTP/1.1 101 \r\nUpgrade: x\r\n\r\nearly"
        let upgrade = try answered(text) { try $0.upgrade("/", to: "x") }
        #expect(upgrade.leftover == Array("early".utf8))
    }

    @Test func `a server that is not there, or does not answer, is told in words`() throws {
        let folder = try TemporaryFolder()
        let path = FilePath("\(folder.path)/s")
        let client = HTTPClient(connectingTo: path)
        #expect(throws: HTTPClientError.socket(.nobodyListens(path))) { try client.request("GET", "/") }
        let fixture = try ServerFixture()
        let waiting = HTTPClient(connectingTo: fixture.path)
        // Long enough for the request to arrive on a busy host.
        #expect(throws: HTTPClientError.timedOut) {
            try waiting.request("GET", "/later", timeout: .seconds(10))
        }
        // The connection with the late answer is not used again.
        try fixture.pending.next().send(HTTPResponse(404))
        #expect(try waiting.request("GET", "/hello").status == 200)
    }

    @Test(arguments: [
        ("GET", "no-path"), ("GET", "/a b"), ("GET", "/\r\n"), ("G T", "/"), ("", "/"), ("GET", "/é"), ("GET", ""),
    ])
    func `what cannot be sent is refused`(method: String, target: String) {
        let client = HTTPClient(connectingTo: "/nowhere")
        #expect(throws: HTTPClientError.unusableRequest) { try client.request(method, target) }
        #expect(throws: HTTPClientError.unusableRequest) { try client.request("GET", "/", headers: ["a": "b\r\nc"]) }
    }

    @Test(arguments: [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", "ab"),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\r\nContent-Length: 2\r\n\r\nab", "ab"),
        ("HTTP/1.1 200 A B\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n", "ab"),
        ("HTTP/1.0 200 OK\r\n\r\nab", "ab"),
        ("HTTP/1.1 204 OK\r\nContent-Length: 5\r\n\r\n", ""),
    ])
    func `each way to end a body is understood`(answer: String, body: String) throws {
        #expect(try answered(answer) { try $0.request("GET", "/") }.body == Array(body.utf8))
    }

    @Test(arguments: [
        "", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "HTTP/1.1 200 OK\r\nA: b\r\n", "HTTP/1.1 2",
    ])
    func `an answer that is cut short is none`(answer: String) {
        #expect(throws: HTTPClientError.closed) { try answered(answer) { try $0.request("GET", "/") } }
    }

    @Test(arguments: [
        "SSH-2.0-x\r\n", "HTTP/1.1 abc\r\n", "HTTP/1.1 20\r\n", "HTTP/1.1 099 A\r\n", "HTTP/2.0 200 OK\r\n",
        "HTTP/1.1 200 OK\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 16777217\r\n\r\n",
        "HTTP/1.1 200 OK\r\n A: b\r\n\r\n", "HTTP/1.1 101 A\r\n\r\n",
    ])
    func `an answer that is no HTTP is refused`(answer: String) {
        let error = #expect(throws: HTTPClientError.self) { try answered(answer) { try $0.request("GET", "/") } }
        guard case .malformed = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    /// Runs `body` with a server that answers `answer` to the first request, and closes.
    private func answered<Result>(_ answer: String, _ body: (HTTPClient) throws -> Result) throws -> Result {
        let folder = try TemporaryFolder()
        let listener = try UnixSocket.listen(at: FilePath("\(folder.path)/s"))
        listener.setBlocking(true)
        DispatchQueue(label: "test.server").async {
            guard let connection = try? listener.accept() else { return }
            connection.setBlocking(true)
            var buffer = [UInt8](repeating: 0, count: 1000)
            _ = try? unsafe buffer.withUnsafeMutableBytes { unsafe try connection.descriptor.read(into: $0) }
            _ = try? connection.descriptor.writeAll(Array(answer.utf8))
        }
        return try body(HTTPClient(connectingTo: FilePath("\(folder.path)/s")))
    }
}
