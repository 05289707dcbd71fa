// SPDX-License-Identifier: Apache-2.0

package import HTTP
import JSON
import Logging

/// Which request does what.
extension MachineService {
    /// All that is served, which is what docs/api/openapi.yaml describes.
    package static let routes: [Route] = [
        .get("/", instanceInformation),
        .get("/version", version),
        .get("/vm/config", wholeConfiguration),
        .get("/machine-config", machineSize),
        .put("/machine-config", setSize),
        .patch("/machine-config", changeSize),
        .put("/boot-source", setBootSource),
        .put("/drives/{drive_id}", setDrive),
        .patch("/drives/{drive_id}", changeDrive),
        .put("/network-interfaces/{iface_id}", setInterface),
        .patch("/network-interfaces/{iface_id}", changeInterface),
        .put("/vsock", setVsock),
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
        Route("PUT", "/martlet/actions", actAsMartlet),
        Route("PUT", "/martlet/snapshot", save),
        Route("PUT", "/snapshot/create", createSnapshot),
        .put("/snapshot/load", loadSnapshot),
    ]

    /// What Firecracker has and Martlet has not, by the first part of its path.
    private static let notOffered: [String: String] = [
        "balloon": "a balloon device", "cpu-config": "CPU templates", "hotplug": "memory hotplug",
        "mmds": "a metadata service", "pmem": "pmem devices",
    ]

    /// Answers a request, now or later.
    package func handle(_ request: HTTPRequest, _ responder: HTTPResponder) {
        do throws(APIError) {
            if let response = try respond(to: request, responder) { responder.send(response) }
        } catch {
            logger.debug("\(request.method) \(request.path): \(error)")
            responder.send(.fault(error))
        }
    }

    /// - Returns: `nil` where the responder was taken over, for an answer later.
    private func respond(to request: HTTPRequest, _ responder: HTTPResponder) throws(APIError) -> HTTPResponse? {
        if request.method == "GET", !request.body.isEmpty { throw APIError("GET request cannot have a body.") }
        for route in Self.routes {
            if let routed = route.match(request, responder) { return try route.answer(self)(routed) }
        }
        if let what = request.pathSegments.first.flatMap({ Self.notOffered[$0] }) { throw .notOffered(what) }
        throw APIError("Invalid request method and/or path: \(request.method) \(request.path).")
    }
}
