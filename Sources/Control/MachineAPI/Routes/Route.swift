// SPDX-License-Identifier: Apache-2.0

import HTTP
import JSON

/// One operation of the API: the method and path of its requests, and its handler.
package struct Route: Sendable {
    /// - Returns: `nil` where the responder was taken over, for a later answer.
    typealias Answer = @Sendable (MachineService) -> @Sendable (RoutedRequest) throws(APIError) -> HTTPResponse?
    typealias Value = @Sendable (MachineService) -> @Sendable () throws(APIError) -> JSONValue
    typealias Change = @Sendable (MachineService) -> @Sendable (RoutedRequest) throws(APIError) -> Void

    /// The method, such as GET.
    package let method: String
    /// The path as docs/api/openapi.yaml has it: a name in braces stands for any segment.
    package let path: String
    let answer: Answer
    private let segments: [String]

    init(_ method: String, _ path: String, _ answer: @escaping Answer) {
        (self.method, self.path, self.answer) = (method, path, answer)
        segments = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    }

    /// A route that reads.
    static func get(_ path: String, _ value: @escaping Value) -> Route {
        Route("GET", path) { service in { _ throws(APIError) in .json(try value(service)()) } }
    }

    /// A route that replaces.
    static func put(_ path: String, _ change: @escaping Change) -> Route {
        changing("PUT", path, change)
    }

    /// A route that changes parts.
    static func patch(_ path: String, _ change: @escaping Change) -> Route {
        changing("PATCH", path, change)
    }

    private static func changing(_ method: String, _ path: String, _ change: @escaping Change) -> Route {
        Route(method, path) { service in
            { request throws(APIError) in
                try change(service)(request)
                return .done
            }
        }
    }

    /// The required number of path segments.
    var segmentCount: Int { segments.count }

    /// The request with the parameters of its path, if it is for this route.
    ///
    /// `allowsMore` ignores empty segments, and those after the route's path. The answer is `nil` for a request of another
    /// route.
    func match(_ received: ReceivedRequest, allowsMore: Bool) -> RoutedRequest? {
        var path = received.request.pathSegments
        if allowsMore {
            path.removeAll(where: \.isEmpty)
            // Firecracker knows no queries: they are a part of the path.
            if !received.request.query.isEmpty, path.first != "martlet" { path.append((path.popLast() ?? "") + "?") }
            if segments != [""] { path = Array(path.prefix(segments.count)) }
            if path.isEmpty { path = [""] }
        }
        guard received.request.method == method, path.count == segments.count else { return nil }
        var identifier = ""
        for (segment, pattern) in zip(path, segments) {
            if pattern.hasPrefix("{") {
                identifier = segment
            } else if segment != pattern {
                return nil
            }
        }
        return RoutedRequest(received: received, identifier: identifier)
    }
}

/// A request as it was received.
struct ReceivedRequest: Sendable {
    let request: HTTPRequest
    let responder: HTTPResponder
    /// The time when it was complete.
    let time = SuspendingClock.now

    init(_ request: HTTPRequest, _ responder: HTTPResponder) {
        (self.request, self.responder) = (request, responder)
    }
}

/// A request with its route.
struct RoutedRequest {
    let received: ReceivedRequest
    var request: HTTPRequest { received.request }
    var responder: HTTPResponder { received.responder }
    /// The segment of the path that the request chooses; empty where there is none.
    let identifier: String

    /// Decodes the body of a request, which must have one.
    ///
    /// - Throws: `APIError`, which names the field that is wrong.
    func body<Body: Decodable>(_ type: Body.Type = Body.self, named name: String) throws(APIError) -> Body {
        guard !request.body.isEmpty else { throw APIError("Empty \(request.method) request.") }
        return try inAPITerms(of: request.body) { () throws(JSONError) in
            try JSONValue(parsing: request.body).decode(as: type, named: name)
        }
    }
}
