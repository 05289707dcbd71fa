// SPDX-License-Identifier: Apache-2.0

/// Makes requests of the bytes of a connection, however they are cut into pieces (RFC 9112).
///
/// Strict: ambiguous input is refused, because others may read it differently. After a fault the connection is
/// useless: nobody knows where the next request starts.
package struct HTTPRequestParser {
    private struct Head {
        let method: String
        let target: RequestTarget
        let version: HTTPVersion
        var headers = HTTPHeaders()
    }

    private enum State {
        case requestLine
        case headers(Head, HeaderSection)
        case body(Head, BodyDecoder)
    }

    private let limits: HTTPParserLimits
    private var input = InputBuffer()
    private var state = State.requestLine
    /// Indicates whether there was an empty line before the request.
    private var hasSkippedLine = false
    /// Indicates whether the client waits for "100 Continue" before it sends the body.
    private var expectsContinue = false

    /// Makes a parser at the start of a connection.
    package init(limits: HTTPParserLimits = HTTPParserLimits()) {
        self.limits = limits
    }

    /// Indicates whether no byte of a request has come.
    package var isIdle: Bool {
        if case .requestLine = state { input.isEmpty } else { false }
    }

    /// Adds received bytes.
    ///
    /// - Parameter bytes: At best no more than `next()` needs: they are kept until it takes them.
    package mutating func append(_ bytes: ArraySlice<UInt8>) {
        input.append(bytes)
    }

    /// Takes the next request.
    ///
    /// - Returns: The request; nil where it is not whole yet.
    /// - Throws: `HTTPFault` for anything but a valid request; the parser is unusable then.
    package mutating func next() throws(HTTPFault) -> HTTPRequest? {
        while true {
            switch state {
            case .requestLine:
                let tooLong = HTTPFault(414, "the request line has more than \(limits.headByteCount) bytes")
                guard let line = try input.line(limit: limits.headByteCount, orThrow: tooLong) else { return nil }
                // Some old clients send one after a body (RFC 9112, 2.2).
                if line.isEmpty, !hasSkippedLine {
                    hasSkippedLine = true
                    continue
                }
                hasSkippedLine = false
                state = .headers(
                    try Self.head(line),
                    HeaderSection(limits: limits, used: line.count + 2)
                )
            case .headers(var head, var section):
                let isComplete = try section.take(from: &input)
                guard isComplete else {
                    state = .headers(head, section)
                    return nil
                }
                head.headers = section.headers
                state = .body(head, try body(of: head))
            case .body(let head, var decoder):
                // Otherwise there would be two of it, and the body would be copied for each piece of it.
                state = .requestLine
                let isComplete = try decoder.take(from: &input)
                guard isComplete else {
                    state = .body(head, decoder)
                    return nil
                }
                expectsContinue = false
                return HTTPRequest(
                    method: head.method,
                    pathSegments: head.target.segments,
                    query: head.target.query,
                    version: head.version,
                    headers: head.headers,
                    body: decoder.bytes
                )
            }
        }
    }

    /// Returns whether "100 Continue" must be sent now, as `next()` gave no request.
    ///
    /// - Returns: True at most once for each request.
    package mutating func takeExpectation() -> Bool {
        defer { expectsContinue = false }
        guard expectsContinue, case .body(_, let decoder) = state else { return false }
        return decoder.bytes.isEmpty
    }

    /// Takes what came after the last request, for another protocol.
    ///
    /// - Returns: All bytes that are left.
    package mutating func takeRest() -> [UInt8] {
        Array(input.take(upTo: .max))
    }

    private mutating func body(of head: Head) throws(HTTPFault) -> BodyDecoder {
        // Its value is not looked at: clients that speak over Unix sockets write all kinds of things.
        let hosts = head.headers.values(of: "Host").count
        guard hosts == 1 || hosts == 0 && head.version == .http10 else {
            throw HTTPFault(400, "there must be one Host header field")
        }
        let framing = try BodyDecoder.framing(of: head.headers, head.version) ?? .length(0)
        if let expectation = head.headers["Expect"], head.version == .http11 {
            guard expectation.lowercased() == "100-continue" else {
                throw HTTPFault(417, "100-continue is the only expectation that is supported")
            }
            expectsContinue = framing != .length(0)
        }
        return try BodyDecoder(framing, limits: limits)
    }

    private static func head(_ line: ArraySlice<UInt8>) throws(HTTPFault) -> Head {
        let parts = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[0].isEmpty, parts[0].allSatisfy(ASCII.isToken) else {
            throw HTTPFault(400, "a request must start with method, target and version")
        }
        let version = try version(parts[2])
        return Head(
            method: String(decoding: parts[0], as: UTF8.self),
            target: try RequestTarget(parts[1]),
            version: version
        )
    }

    /// The version of a message; a later 1.x is spoken as 1.1 (RFC 9110, 6.2).
    static func version(_ bytes: ArraySlice<UInt8>) throws(HTTPFault) -> HTTPVersion {
        let bytes = Array(bytes)
        guard bytes.count == 8, bytes.starts(with: "HTTP/".utf8), bytes[6] == UInt8(ascii: "."),
            ASCII.isDigit(bytes[5]), ASCII.isDigit(bytes[7])
        else { throw HTTPFault(400, "the version must be HTTP/1.0 or HTTP/1.1") }
        guard bytes[5] == UInt8(ascii: "1") else { throw HTTPFault(505, "the version must be HTTP/1.0 or HTTP/1.1") }
        return bytes[7] == UInt8(ascii: "0") ? .http10 : .http11
    }
}

/// The limits on the size of a message.
package struct HTTPParserLimits: Sendable {
    /// The start line and all header fields with it, in bytes.
    package var headByteCount = 8 << 10
    /// The number of header fields.
    package var headerCount = 64
    /// The body, in bytes.
    package var bodyByteCount = 51_200

    /// The usual limits.
    package init() {}
}

/// The reason why a peer's bytes are not a valid message, with the status that answers such a request.
package struct HTTPFault: Error, Hashable, CustomStringConvertible {
    /// The status of the answer, 400 to 599.
    package let status: Int
    /// The message: it has no quotes and backslashes, so it can stand in a JSON string.
    package let description: String

    init(_ status: Int, _ description: String) {
        self.status = status
        self.description = description
    }
}
