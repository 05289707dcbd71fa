// SPDX-License-Identifier: Apache-2.0

package import HTTP
import JSON
import Logging

/// The table of routes, and the handling of requests.
extension MachineService {
    /// All routes, as docs/api/openapi.yaml describes them.
    package static let routes: [Route] = [
        .get("/", instanceInformation),
        .get("/version", version),
        .get("/vm/config", wholeConfiguration),
        .get("/machine-config", machineSize),
        Route("PUT", "/machine-config", setSize),
        Route("PATCH", "/machine-config", changeSize),
        .put("/boot-source", setBootSource),
        .put("/drives/{drive_id}", setDrive),
        .patch("/drives/{drive_id}", changeDrive),
        .put("/network-interfaces/{iface_id}", setInterface),
        .patch("/network-interfaces/{iface_id}", changeInterface),
        Route("PUT", "/vsock", setVsock),
        Route("PUT", "/mmds/config", setMetadataService),
        .get("/mmds", metadataValue),
        .put("/mmds", replaceMetadata),
        .patch("/mmds", mergeMetadata),
        .put("/entropy", setEntropy),
        .put("/serial", setSerial),
        .put("/logger", setLogger),
        .put("/metrics", setMetrics),
        .put("/actions", act),
        Route("PATCH", "/vm", setPhase),
        .get("/martlet/machine", machineDescription),
        .get("/martlet/stats", machineStatistics),
        Route("GET", "/martlet/wait", answerAtEnd),
        Route("GET", "/martlet/console", attach),
        .put("/martlet/terminal", resizeTerminal),
        Route("PUT", "/martlet/actions", actAsMartlet),
        Route("PUT", "/martlet/snapshot", save),
        Route("PUT", "/snapshot/create", createSnapshot),
        Route("PUT", "/snapshot/load", loadSnapshot),
    ]

    /// The resources that Firecracker has and Martlet does not, by the first part of their paths.
    private static let notOffered: [String: String] = [
        "balloon": "a balloon device", "cpu-config": "CPU templates", "hotplug": "memory hotplug",
        "pmem": "pmem devices",
    ]

    /// Answers a request, now or later.
    package func handle(_ request: HTTPRequest, _ responder: HTTPResponder) {
        let received = ReceivedRequest(request, responder)
        // Before it is done: the line of metrics that a start or a flush writes counts it.
        requests.count(request)
        if isLogged(request) {
            var body: String {
                request.body.isEmpty || request.hasSecretBody
                    ? "" : " with body \(String(reflecting: String(decoding: request.body, as: UTF8.self)))"
            }
            logger.log(
                level: dialect == .firecracker ? .info : .debug,
                "The API server received a \(request.method.capitalized) request on \"\(request.path)\"\(body)."
            )
        }
        do throws(APIError) {
            if let response = try respond(to: received) { send(response, to: received) }
        } catch {
            refuse(received, error)
            if snapshot.isRestoreFailed { abandon() }
        }
    }

    /// Answers a request and logs it.
    func send(_ response: HTTPResponse, to received: ReceivedRequest) {
        if isLogged(received.request) {
            logger.log(
                level: dialect == .firecracker ? .info : .debug,
                "The request was executed successfully. Status code: \(response.status) \(response.reason)."
            )
        }
        finish(response, received)
    }

    /// Refuses a request, counts and logs it.
    func refuse(_ received: ReceivedRequest, _ error: APIError) {
        requests.countRefusal(received.request)
        let response = HTTPResponse.fault(error, dialect)
        logger.log(
            level: dialect == .firecracker ? .error : .debug,
            "Received Error. Status code: \(response.status) \(response.reason). Message: \(error.text(dialect))"
        )
        finish(response, received)
    }

    private func finish(_ response: HTTPResponse, _ received: ReceivedRequest) {
        // Before the client continues: a client that has its answer finds the request in the log.
        let time = received.time.duration(to: .now) / .microseconds(1)
        if isLogged(received.request) { logger.debug("Total previous API call duration: \(UInt64(time)) us.") }
        received.responder.send(response)
    }

    /// Indicates whether the log tells of a request: Firecracker's users look for pairs of lines, which Martlet's own requests, answered
    /// late or never, would break.
    private func isLogged(_ request: HTTPRequest) -> Bool {
        dialect != .firecracker || !request.path.hasPrefix("/martlet/")
    }

    /// - Returns: `nil` where the responder was taken over, for a later answer.
    private func respond(to received: ReceivedRequest) throws(APIError) -> HTTPResponse? {
        let request = received.request
        if request.method == "GET", !request.body.isEmpty { throw APIError("GET request cannot have a body.") }
        let matches = Self.routes.compactMap { route in
            route.match(received, allowsMore: dialect == .firecracker).map { (route, $0) }
        }
        // Firecracker allows further segments: the longest matching path counts.
        if let (route, routed) = matches.max(by: { $0.0.segmentCount < $1.0.segmentCount }) {
            return try route.answer(self)(routed)
        }
        if let what = request.pathSegments.first.flatMap({ Self.notOffered[$0] }) { throw .notOffered(what) }
        let words = "Invalid request method and/or path: \(request.method) "
        throw APIError("\(words)\(request.path).", firecracker: firecrackerWords(for: request, words))
    }

    /// Firecracker's words for a request that has no route.
    private func firecrackerWords(for request: HTTPRequest, _ words: String) -> String {
        let path = request.pathSegments.filter { !$0.isEmpty }
        if ["PUT", "PATCH"].contains(request.method), request.body.isEmpty {
            return "Empty \(request.method) request."
        }
        switch path.first {
        case "drives", "network-interfaces": if path.count == 1 { return "The ID cannot be empty." }
        case "snapshot": if path.count == 1, request.method == "PUT" { return "Missing snapshot operation type." }
        default: break
        }
        return "\(words)\(path.first ?? "")\(path.count < 2 && !request.query.isEmpty ? "?" : "")."
    }
}

extension HTTPRequest {
    /// Indicates whether the body stays out of the log: secrets of a guest, or large ones.
    fileprivate var hasSecretBody: Bool { ["mmds", "cpu-config"].contains(pathSegments.first) }
}

extension String {
    /// The method of a request in a sentence: `Put` for PUT.
    fileprivate var capitalized: String { prefix(1) + dropFirst().lowercased() }
}
