// SPDX-License-Identifier: Apache-2.0

import HTTP
import Testing

@Suite struct HTTPRequestParserTests {
    /// A message, and what is made of it.
    struct Row: Sendable {
        let text: String
        var method = "GET"
        var path = "/"
        var query: [String: String] = [:]
        var version = HTTPVersion.http11
        var body = ""
    }

    private static let good: [Row] = [
        Row(text: "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        Row(text: "\r\nGET / HTTP/1.1\r\nHost:\r\n\r\n"),
        Row(text: "GET / HTTP/1.0\r\n\r\n", version: .http10),
        Row(text: "GET / HTTP/1.9\r\nHost: a\r\n\r\n"),
        Row(text: "GET http://a.b:80/c HTTP/1.1\r\nHost: a\r\n\r\n", path: "/c"),
        Row(text: "GET HTTP://a?b HTTP/1.1\r\nHost: a\r\n\r\n", query: ["b": ""]),
        Row(text: "PATCH /a%20b/%C3%A9//c/ HTTP/1.1\r\nhOST: a\r\n\r\n", method: "PATCH", path: "/a b/é//c/"),
        Row(
            text: "GET /a?b=c%26d&e=f+g=h&i HTTP/1.1\r\nHost: a\r\n\r\n",
            path: "/a",
            query: ["b": "c&d", "e": "f g=h", "i": ""]
        ),
        Row(text: "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", method: "PUT", body: "hello"),
        Row(
            text: "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\ncontent-length: 2\r\n\r\n\r\n",
            method: "PUT",
            body: "\r\n"
        ),
        Row(
            text: "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: \t 007 \r\n\r\nGET / H",
            method: "PUT",
            body: "GET / H"
        ),
        Row(
            text:
                "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n4;x=\"y\"\r\nab\r\n\r\n00A \r\n0123456789\r\n0\r\n\r\n",
            method: "PUT",
            body: "ab\r\n0123456789"
        ),
        Row(
            text: "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n",
            method: "PUT",
            body: "x"
        ),
    ]

    @Test(arguments: good) func `a good request is the same however it is cut`(row: Row) throws {
        let bytes = Array(row.text.utf8)
        for cut in 0...bytes.count {
            var parser = HTTPRequestParser()
            #expect(parser.isIdle)
            parser.append(bytes[..<cut])
            var request = try parser.next()
            if cut < bytes.count {
                #expect(request == nil)
                parser.append(bytes[cut...])
                request = try parser.next()
            }
            try Self.expect(request, row)
            #expect(parser.isIdle)
            #expect(try parser.next() == nil)
        }
        var parser = HTTPRequestParser()
        for byte in bytes.dropLast() {
            parser.append([byte])
            #expect(try parser.next() == nil)
        }
        parser.append(bytes.suffix(1))
        try Self.expect(try parser.next(), row)
    }

    private static func expect(_ request: HTTPRequest?, _ row: Row) throws {
        let request = try #require(request)
        #expect(request.method == row.method)
        #expect(request.path == row.path)
        #expect(request.query == row.query)
        #expect(request.version == row.version)
        #expect(request.body == Array(row.body.utf8))
    }

    @Test func `pipelined requests come one after the other`() throws {
        var parser = HTTPRequestParser()
        parser.append(Array(Self.good.map(\.text).joined().utf8)[...])
        for row in Self.good { try Self.expect(try parser.next(), row) }
        #expect(parser.isIdle)
    }

    @Test func `header fields are looked up in whatever case, and lists are joined`() throws {
        var parser = HTTPRequestParser()
        parser.append(
            Array(
                "GET / HTTP/1.1\r\nHost: h\r\nX-a:  1 2\t\r\nx-A:é\r\nUpgrade: x, Vsock\r\nConnection: a ,UPGRADE\r\n\r\n"
                    .utf8
            )[...]
        )
        let request = try #require(try parser.next())
        #expect(request.headers["x-a"] == "1 2, é")
        #expect(request.headers.values(of: "X-A") == ["1 2", "é"])
        #expect(request.headers["absent"] == nil)
        #expect(request.asksForUpgrade(to: "vsock"))
        #expect(!request.asksForUpgrade(to: "vsoc"))
    }

    @Test func `what comes behind a request is given away as it is`() throws {
        var parser = HTTPRequestParser()
        parser.append(Array("GET / HTTP/1.1\r\nHost: h\r\n\r\n\u{0}rest\r\n".utf8)[...])
        _ = try #require(try parser.next())
        #expect(parser.takeRest() == Array("\u{0}rest\r\n".utf8))
        #expect(parser.takeRest() == [])
    }

    @Test func `a client that expects 100 is told once, unless the body has come`() throws {
        let head = "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n"
        var parser = HTTPRequestParser()
        parser.append(Array(head.utf8)[...])
        #expect(try parser.next() == nil)
        #expect(parser.takeExpectation() == true)
        #expect(parser.takeExpectation() == false)
        parser.append(Array("ab".utf8)[...])
        #expect(try parser.next()?.body == Array("ab".utf8))
        parser.append(Array((head + "a").utf8)[...])
        #expect(try parser.next() == nil)
        #expect(parser.takeExpectation() == false)
    }

    /// Sent bytes, and the status of the answer.
    private static let bad: [(Int, String)] =
        [
            "GET\r\n", "GET / \r\n", "GET  / HTTP/1.1\r\n", " GET / HTTP/1.1\r\n", "GET / HTTP/1.1 \r\n",
            "G(T / HTTP/1.1\r\n",
            "GET / HTTP/1.1\n", "\n", "\r\n\r\n", "GET / HTTP/1,1\r\n", "GET / http/1.1\r\n", "GET / HTTP/11\r\n",
            "GET / HTTP/1.10\r\n",
            "GET a HTTP/1.1\r\n", "GET * HTTP/1.1\r\n", "CONNECT a:1 HTTP/1.1\r\n", "GET https://a/ HTTP/1.1\r\n",
            "GET /# HTTP/1.1\r\n", "GET /é HTTP/1.1\r\n", "GET /\u{7f} HTTP/1.1\r\n", "GET /\t HTTP/1.1\r\n",
            "GET /%4 HTTP/1.1\r\n",
            "GET /%zz HTTP/1.1\r\n", "GET /%ff HTTP/1.1\r\n", "GET /%2f HTTP/1.1\r\n", "GET /%00 HTTP/1.1\r\n",
            "GET /?%f HTTP/1.1\r\n", "GET /?a=1&a=2 HTTP/1.1\r\n", "\u{0}\u{1}\u{2}\r\n",
            "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n", "GET / HTTP/1.1\r\nHost: a\r\n b\r\n", "GET / HTTP/1.1\r\n Host: a\r\n",
            "GET / HTTP/1.1\r\n: a\r\n", "GET / HTTP/1.1\r\nHost\r\n", "GET / HTTP/1.1\r\nH\u{e9}st: a\r\n",
            "GET / HTTP/1.1\r\nA: b\rc\r\n",
            "GET / HTTP/1.1\r\nA: b\u{0}c\r\n", "GET / HTTP/1.1\r\nHost: a\nB: c\r\n",
        ].map { (400, $0) }
        + [
            "Content-Length: x", "Content-Length:", "Content-Length: +1", "Content-Length: -1", "Content-Length: 1, 1",
            "Content-Length: 0x1", "Content-Length: 1 1", "Content-Length: 1\r\nContent-Length: 2",
            "Content-Length: 1\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 1",
        ].map { (400, "PUT / HTTP/1.1\r\nHost: a\r\n\($0)\r\n\r\n") }
        + [
            "\r\n", "x\r\n", "-1\r\n", "0x1\r\n", "1 1\r\n", ";a\r\n", " 1\r\n", "1\n", "1;\u{0}\r\n", "1\r\nab\r\n",
            "1\r\na\n", "0\r\n: \r\n",
            "0\r\nA : b\r\n", "1;" + String(repeating: "x", count: 300),
        ].map { (400, "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\($0)") }
        + [
            (400, "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
            (501, "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
            (501, "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n"),
            (501, "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
            (505, "GET / HTTP/2.0\r\n"), (505, "GET / HTTP/0.9\r\n"),
            (417, "PUT / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n"),
            (413, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 51201\r\n\r\n"),
            (413, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n"),
            (413, "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nC801\r\n"),
            (
                413,
                "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nffffffffffffffffffffff\r\n"
            ),
            (414, "GET /" + String(repeating: "a", count: 8192)),
            (414, "GET /" + String(repeating: "a", count: 8192) + "\n"),
            (431, "GET / HTTP/1.1\r\nA: " + String(repeating: "a", count: 8192)),
            (431, "GET / HTTP/1.1\r\n" + String(repeating: "A: b\r\n", count: 65)),
            (
                431,
                "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
                    + String(repeating: "A: b\r\n", count: 65)
            ),
        ]

    @Test(arguments: bad) func `a bad request has its status, however it is cut`(status: Int, text: String) throws {
        let bytes = Array(text.utf8)
        func fault(cut: Int) -> HTTPFault? {
            #expect(throws: HTTPFault.self) {
                var parser = HTTPRequestParser()
                parser.append(bytes[..<cut])
                while try parser.next() != nil {}
                parser.append(bytes[cut...])
                while try parser.next() != nil {}
            }
        }
        // Of the long ones the last cuts only: there is nothing else between.
        for cut in max(0, bytes.count - 400)...bytes.count {
            #expect(fault(cut: cut)?.status == status)
        }
    }

    @Test func `texts of faults can stand in a JSON string`() {
        for (_, text) in Self.bad {
            var parser = HTTPRequestParser()
            parser.append(Array(text.utf8)[...])
            let fault = #expect(throws: HTTPFault.self) { while try parser.next() != nil {} }
            #expect(fault?.description.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7f && $0 != 0x22 && $0 != 0x5c } == true)
        }
    }

    @Test func `what just fits into the limits is taken`() throws {
        var limits = HTTPParserLimits()
        limits.headByteCount = 40
        limits.headerCount = 2
        limits.bodyByteCount = 3
        let line = "PUT / HTTP/1.1\r\nHost: a\r\n"
        // 16 and 9 bytes of 40: a field of 15 is left, with its end.
        let fitting = line + "A: 3456789012\r\n" + "\r\n"
        var parser = HTTPRequestParser(limits: limits)
        parser.append(Array(fitting.utf8)[...])
        #expect(try parser.next() != nil)
        parser.append(Array((line + "AB: 3456789012\r\n\r\n").utf8)[...])
        #expect(throws: HTTPFault.self) { try parser.next() }

        limits.headByteCount = 1000
        parser = HTTPRequestParser(limits: limits)
        parser.append(Array((line + "Content-Length: 3\r\n\r\nabc").utf8)[...])
        #expect(try parser.next()?.body == Array("abc".utf8))
        parser.append(Array((line + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n").utf8)[...])
        #expect(try parser.next()?.body == Array("abc".utf8))
        parser.append(Array((line + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n3\r\n").utf8)[...])
        #expect(throws: HTTPFault.self) { try parser.next() }
    }
}
