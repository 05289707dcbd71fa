// SPDX-License-Identifier: Apache-2.0

package import HTTP
import JSON
import MachineModel
import Synchronization

/// The guest's side: requests, in either version of the service, and Firecracker's error messages.
extension MetadataService {
    private static let tokenHeaders = ["X-metadata-token", "X-aws-ec2-metadata-token"]
    private static let lifetimeHeaders = ["X-metadata-token-ttl-seconds", "X-aws-ec2-metadata-token-ttl-seconds"]

    /// Answers a request of the guest.
    package func answer(_ request: HTTPRequest, now: ContinuousClock.Instant = .now) -> HTTPResponse {
        state.withLock { state in
            switch request.method {
            case "GET": state.get(request, now)
            case "PUT": state.put(request, now)
            default:
                HTTPResponse(
                    405,
                    headers: ["Content-Type": "text/plain", "Allow": "GET, PUT"],
                    body: Array("Not allowed HTTP method.".utf8)
                )
            }
        }
    }

    /// The answer to an invalid request.
    static func refusal(_ fault: HTTPFault) -> HTTPResponse { .text(400, "Invalid request: \(fault).") }

    /// The first of these header fields that a request has.
    fileprivate static func field(_ names: [String], of request: HTTPRequest) -> (name: String, value: String)? {
        names.lazy.compactMap { name in request.headers[name].map { (name, $0) } }.first
    }

    fileprivate static func token(of request: HTTPRequest) -> String? { field(tokenHeaders, of: request)?.value }

    fileprivate static func lifetime(of request: HTTPRequest) -> (name: String, value: String)? {
        field(lifetimeHeaders, of: request)
    }
}

extension MetadataService.State {
    fileprivate mutating func get(_ request: HTTPRequest, _ now: ContinuousClock.Instant) -> HTTPResponse {
        let token = MetadataService.token(of: request)
        let isValid = token.map { tokens.isValid($0, now: now) } ?? false
        if token == nil { statistics.missingTokens += 1 } else if !isValid { statistics.invalidTokens += 1 }
        if version == .v2, !isValid {
            let hint = "Use `X-metadata-token` or `X-aws-ec2-metadata-token` header to specify the session token."
            return .text(401, token == nil ? "No MMDS token provided. \(hint)" : "MMDS token not valid.")
        }
        guard let value = (data ?? .null).value(at: request.pathSegments) else {
            return .text(404, "Resource not found: \(request.path).")
        }
        let acceptsJSON = request.headers.list("Accept", contains: "application/json")
        if acceptsJSON, !isCompatible { return HTTPResponse(200, body: Array(value.text.utf8)) }
        guard let text = value.metadataText else {
            return .text(501, "Cannot retrieve value. The value has an unsupported type.")
        }
        return .text(200, text, type: acceptsJSON ? "application/json" : "text/plain")
    }

    fileprivate mutating func put(_ request: HTTPRequest, _ now: ContinuousClock.Instant) -> HTTPResponse {
        // A proxy that forwards requests must not get a token for their senders.
        guard request.headers["X-Forwarded-For"] == nil else {
            return .text(400, "Invalid header. Reason: Unsupported header name. Key: X-Forwarded-For")
        }
        guard request.pathSegments.filter({ !$0.isEmpty }) == ["latest", "api", "token"] else {
            return .text(404, "Resource not found: \(request.path).")
        }
        guard let lifetime = MetadataService.lifetime(of: request) else {
            let hint = "Use `X-metadata-token-ttl-seconds` or `X-aws-ec2-metadata-token-ttl-seconds` header"
            return .text(400, "Token time to live value not found. \(hint) to specify the token's lifetime.")
        }
        guard let seconds = UInt32(lifetime.value) else {
            let reason = "Invalid value. Key:\(lifetime.name); Value:\(lifetime.value)"
            return .text(400, "Invalid header. Reason: \(reason)")
        }
        do throws(MetadataError) {
            var response = HTTPResponse.text(200, try tokens.make(seconds: seconds, now: now))
            response.headers.add(lifetime.name, "\(seconds)")
            return response
        } catch {
            return .text(400, "\(error)")
        }
    }
}

extension HTTPResponse {
    static func text(_ status: Int, _ text: String, type: String = "text/plain") -> HTTPResponse {
        HTTPResponse(status, headers: ["Content-Type": type], body: Array(text.utf8))
    }
}

extension JSONValue {
    /// The value that a path leads to (RFC 6901); empty segments are none.
    fileprivate func value(at path: [String]) -> JSONValue? {
        var value = self
        for segment in path where !segment.isEmpty {
            switch value {
            case .object(let object):
                guard let member = object[segment.unescapedReference] else { return nil }
                value = member
            case .array(let elements):
                guard segment.utf8.allSatisfy({ 48...57 ~= $0 }), segment == "0" || segment.utf8.first != 48,
                    let index = Int(segment), elements.indices.contains(index)
                else { return nil }
                value = elements[index]
            default: return nil
            }
        }
        return value
    }

    /// The value as EC2's service gives it: names with a slash where more lies below, or a text; `nil` for any other value.
    fileprivate var metadataText: String? {
        guard case .object(let object) = self else { return string }
        let lines = object.names.sorted { $0.unicodeScalars.lexicographicallyPrecedes($1.unicodeScalars) }.map { name in
            if case .object? = object[name] { "\(name)/" } else { name }
        }
        return lines.joined(separator: "\n")
    }
}

extension String {
    /// A segment of a reference without its escapes: `~1` is a slash, `~0` a tilde.
    fileprivate var unescapedReference: String {
        guard utf8.contains(UInt8(ascii: "~")) else { return self }
        var (result, isEscape) = ("", false)
        for character in unicodeScalars {
            switch (isEscape, character) {
            case (true, "1"): result.unicodeScalars.append("/")
            case (true, "0"): result.unicodeScalars.append("~")
            case (true, _):
                result.unicodeScalars.append("~")
                result.unicodeScalars.append(character)
            case (false, "~"): break
            case (false, _): result.unicodeScalars.append(character)
            }
            isEscape = !isEscape && character == "~"
        }
        return result
    }
}
