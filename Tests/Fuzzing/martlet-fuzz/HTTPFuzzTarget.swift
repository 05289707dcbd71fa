// SPDX-License-Identifier: Apache-2.0

import HTTP

/// The input is what a client sends; its first byte says how it is cut into pieces.
enum HTTPFuzzTarget {
    static func run(_ input: inout FuzzInput) {
        let pieceSize = Int(input.byte()) + 1
        let bytes = input.rest
        let whole = outcome(of: bytes, inPiecesOf: bytes.count + 1)
        precondition(outcome(of: bytes, inPiecesOf: pieceSize) == whole)
    }

    /// The requests, and the fault that ended them.
    private struct Outcome: Equatable {
        var requests: [HTTPRequest] = []
        var fault: HTTPFault?
    }

    private static func outcome(of bytes: [UInt8], inPiecesOf size: Int) -> Outcome {
        let limits = HTTPParserLimits()
        var (outcome, parser) = (Outcome(), HTTPRequestParser(limits: limits))
        for start in stride(from: 0, to: bytes.count, by: size) {
            parser.append(bytes[start..<min(start + size, bytes.count)])
            do {
                while let request = try parser.next() {
                    precondition(request.body.count <= limits.bodyByteCount)
                    precondition(request.headers.fields.count <= limits.headerCount)
                    precondition(!request.pathSegments.contains { $0.utf8.contains(UInt8(ascii: "/")) })
                    outcome.requests.append(request)
                }
                _ = parser.takeExpectation()
            } catch {
                precondition((400..<600).contains(error.status) && !error.description.isEmpty)
                outcome.fault = error
                return outcome
            }
        }
        return outcome
    }
}
