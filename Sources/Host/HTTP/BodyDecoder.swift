// SPDX-License-Identifier: Apache-2.0

/// The body of a message while it comes in (RFC 9112, 6 and 7).
struct BodyDecoder {
    /// The ways to find the end of a body.
    enum Framing: Hashable {
        case length(Int)
        case chunked
        case untilClose
    }

    private enum State {
        case data(Int)
        case chunkSize
        case chunkData(Int)
        case chunkEnd
        case trailers(HeaderSection)
        case untilClose
    }

    private(set) var bytes: [UInt8] = []
    private let limits: HTTPParserLimits
    private var state: State

    init(_ framing: Framing, limits: HTTPParserLimits) throws(HTTPFault) {
        self.limits = limits
        switch framing {
        case .length(let count):
            guard count <= limits.bodyByteCount else { throw Self.tooLarge(count, limits) }
            state = .data(count)
        case .chunked: state = .chunkSize
        case .untilClose: state = .untilClose
        }
    }

    /// The framing of the body of a message with these fields; nil where they do not tell.
    static func framing(of headers: HTTPHeaders, _ version: HTTPVersion) throws(HTTPFault) -> Framing? {
        let lengths = headers.values(of: "Content-Length")
        if let coding = headers["Transfer-Encoding"] {
            guard lengths.isEmpty else {
                throw HTTPFault(400, "Content-Length and Transfer-Encoding exclude each other")
            }
            guard version == .http11 else { throw HTTPFault(400, "HTTP/1.0 has no Transfer-Encoding") }
            guard coding.lowercased() == "chunked" else {
                throw HTTPFault(501, "chunked is the only Transfer-Encoding that is supported")
            }
            return .chunked
        }
        guard let length = lengths.first else { return nil }
        guard lengths.allSatisfy({ $0 == length }) else {
            throw HTTPFault(400, "the values of Content-Length differ")
        }
        guard !length.isEmpty, length.utf8.allSatisfy(ASCII.isDigit) else {
            throw HTTPFault(400, "Content-Length must be a number")
        }
        // A number that is none of ours is too large for sure.
        return .length(Int(length) ?? .max)
    }

    /// Takes bytes of the body.
    ///
    /// - Returns: Whether its end has come; never for one that ends with the connection.
    mutating func take(from input: inout InputBuffer) throws(HTTPFault) -> Bool {
        while true {
            switch state {
            case .data(let count):
                let rest = count - takeData(count, from: &input)
                state = .data(rest)
                return rest == 0
            case .chunkSize:
                guard let line = try line(from: &input) else { return false }
                let size = try Self.chunkSize(line)
                guard size <= limits.bodyByteCount - bytes.count else {
                    throw Self.tooLarge(bytes.count + size, limits)
                }
                state = size > 0 ? .chunkData(size) : .trailers(HeaderSection(limits: limits, used: 0))
            case .chunkData(let count):
                let rest = count - takeData(count, from: &input)
                state = rest > 0 ? .chunkData(rest) : .chunkEnd
                if rest > 0 { return false }
            case .chunkEnd:
                guard let line = try line(from: &input) else { return false }
                guard line.isEmpty else { throw HTTPFault(400, "a chunk is longer than its size") }
                state = .chunkSize
            case .trailers(var section):
                // They are checked and ignored: nothing here has a use for them.
                let isComplete = try section.take(from: &input)
                state = isComplete ? .data(0) : .trailers(section)
                return isComplete
            case .untilClose:
                takeData(limits.bodyByteCount - bytes.count, from: &input)
                guard input.isEmpty else { throw Self.tooLarge(limits.bodyByteCount + 1, limits) }
                return false
            }
        }
    }

    @discardableResult
    private mutating func takeData(_ count: Int, from input: inout InputBuffer) -> Int {
        let data = input.take(upTo: count)
        bytes += data
        return data.count
    }

    private func line(from input: inout InputBuffer) throws(HTTPFault) -> ArraySlice<UInt8>? {
        try input.line(limit: 256, orThrow: HTTPFault(400, "the size of a chunk has more than 256 bytes"))
    }

    private static func chunkSize(_ line: ArraySlice<UInt8>) throws(HTTPFault) -> Int {
        // Extensions are ignored, as RFC 9112, 7.1.1 wants it.
        let digits = ASCII.trimmed(line.prefix { $0 != UInt8(ascii: ";") })
        guard !digits.isEmpty, line.allSatisfy(ASCII.isFieldValue), ASCII.hexDigit(line[line.startIndex]) != nil else {
            throw HTTPFault(400, "the size of a chunk must be a hexadecimal number")
        }
        var size = 0
        for digit in digits {
            guard let value = ASCII.hexDigit(digit) else {
                throw HTTPFault(400, "the size of a chunk must be a hexadecimal number")
            }
            // Far beyond every limit, and far from an overflow.
            size = min(size << 4 | Int(value), 1 << 48)
        }
        return size
    }

    private static func tooLarge(_ byteCount: Int, _ limits: HTTPParserLimits) -> HTTPFault {
        // Firecracker's words.
        HTTPFault(
            413,
            "Request payload with size \(byteCount) is larger than the limit of \(limits.bodyByteCount) allowed by server."
        )
    }
}
