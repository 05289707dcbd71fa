// SPDX-License-Identifier: Apache-2.0

/// Makes a response of the bytes of a connection, however they are cut into pieces (RFC 9112).
struct HTTPResponseParser {
    private struct Head {
        let version: HTTPVersion
        let status: Int
        var headers = HTTPHeaders()
    }

    private enum State {
        case statusLine
        case headers(Head, HeaderSection)
        case body(Head, BodyDecoder)
    }

    private let isAnswerToHead: Bool
    private let limits: HTTPParserLimits
    private var input = InputBuffer()
    private var state = State.statusLine
    private var endsWithConnection = false
    /// Indicates whether the connection can be used for another request, once the response is whole.
    private(set) var keepsAlive = false

    init(limits: HTTPParserLimits, isAnswerToHead: Bool) {
        (self.limits, self.isAnswerToHead) = (limits, isAnswerToHead)
    }

    mutating func append(_ bytes: ArraySlice<UInt8>) {
        input.append(bytes)
    }

    /// Takes the response.
    ///
    /// - Parameter hasEnded: Whether the server has closed the connection.
    /// - Returns: The response; nil where it is not whole yet.
    /// - Throws: `HTTPFault` for anything but a valid response.
    mutating func next(hasEnded: Bool) throws(HTTPFault) -> HTTPResponse? {
        while true {
            switch state {
            case .statusLine:
                let tooLong = HTTPFault(400, "the status line is too long")
                guard let line = try input.line(limit: limits.headByteCount, orThrow: tooLong) else { return nil }
                state = .headers(try Self.head(line), HeaderSection(limits: limits, used: line.count + 2))
            case .headers(var head, var section):
                guard try section.take(from: &input) else {
                    state = .headers(head, section)
                    return nil
                }
                head.headers = section.headers
                // Interim responses, such as 100, are passed by.
                let isInterim = (100..<200).contains(head.status) && head.status != 101
                state = isInterim ? .statusLine : .body(head, try body(of: head))
            case .body(let head, var decoder):
                // Otherwise there would be two of it, and the body would be copied for each piece of it.
                state = .statusLine
                let isComplete = try decoder.take(from: &input) || (endsWithConnection && hasEnded)
                guard isComplete else {
                    state = .body(head, decoder)
                    return nil
                }
                keepsAlive =
                    head.version == .http11 && !endsWithConnection
                    && !head.headers.list("Connection", contains: "close")
                return HTTPResponse(head.status, headers: head.headers, body: decoder.bytes)
            }
        }
    }

    /// Takes what came after the response.
    mutating func takeRest() -> [UInt8] {
        Array(input.take(upTo: .max))
    }

    private mutating func body(of head: Head) throws(HTTPFault) -> BodyDecoder {
        if isAnswerToHead || head.status < 200 || head.status == 204 || head.status == 304 {
            return try BodyDecoder(.length(0), limits: limits)
        }
        let framing = try BodyDecoder.framing(of: head.headers, head.version)
        endsWithConnection = framing == nil
        return try BodyDecoder(framing ?? .untilClose, limits: limits)
    }

    private static func head(_ line: ArraySlice<UInt8>) throws(HTTPFault) -> Head {
        let parts = line.split(separator: UInt8(ascii: " "), maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count >= 2, parts[1].count == 3, parts[1].allSatisfy(ASCII.isDigit),
            let status = Int(String(decoding: parts[1], as: UTF8.self)), status >= 100
        else { throw HTTPFault(400, "a response must start with version and status") }
        return Head(version: try HTTPRequestParser.version(parts[0]), status: status)
    }
}
