// SPDX-License-Identifier: Apache-2.0

package import HTTP
import JSON
import Logging
import Machine
import SystemPackage

/// Which request does what: the table of the API, as docs/api/openapi.yaml describes it.
extension MachineService {
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
        let segments = request.pathSegments
        guard let first = segments.first, segments.count <= 2 else { throw Self.refusal(of: request) }
        switch (request.method, first, segments.count > 1 ? segments[1] : nil) {
        case ("GET", "", nil): return .json(instanceInformation)
        case ("GET", "version", nil): return .json(["firecracker_version": .string(APIVersion.firecracker)])
        case ("GET", "machine-config", nil): return .json(snapshot.resources.size.json)
        case ("GET", "vm", "config"): return .json(wholeConfiguration)
        case ("PUT", "boot-source", nil): try setBootSource(try body(of: request))
        case ("PUT", "machine-config", nil): try setSize(try body(of: request))
        case ("PATCH", "machine-config", nil): try changeSize(try body(of: request))
        case ("PUT", "drives", let id?): try setDrive(id, try body(of: request))
        case ("PATCH", "drives", let id?): try changeDrive(id, try body(of: request))
        case ("PUT", "entropy", nil): try setEntropy(try body(of: request))
        case ("PUT", "serial", nil): try setSerial(try body(of: request))
        case ("PUT", "logger", nil): try setLogger(try body(of: request))
        case ("PUT", "metrics", nil): try setMetrics(try body(of: request))
        case ("PUT", "actions", nil): try act(try body(of: request))
        case ("PATCH", "vm", nil): return try setPhase(try body(of: request), responder)
        case (_, "martlet", let name?): return try respond(to: request, martlet: name, responder)
        default: throw Self.refusal(of: request)
        }
        return .done
    }

    private func body(of request: HTTPRequest) throws(APIError) -> JSONValue {
        guard !request.body.isEmpty else { throw APIError("Empty \(request.method) request.") }
        return try inAPITerms { () throws(JSONError) in try JSONValue(parsing: request.body) }
    }

    /// What Firecracker has and Martlet has not, by the first part of its path.
    private static let notOffered: [String: String] = [
        "balloon": "a balloon device", "cpu-config": "CPU templates", "hotplug": "memory hotplug",
        "mmds": "a metadata service", "network-interfaces": "network interfaces", "pmem": "pmem devices",
        "snapshot": "snapshots", "vsock": "a vsock device",
    ]

    private static func refusal(of request: HTTPRequest) -> APIError {
        if let what = request.pathSegments.first.flatMap({ notOffered[$0] }) { return .notOffered(what) }
        return APIError("Invalid request method and/or path: \(request.method) \(request.path).")
    }

    // MARK: - What is

    private var instanceInformation: JSONValue {
        [
            "app_name": .string(APIVersion.name), "id": .string(identifier), "state": .string(stateName),
            "vmm_version": .string(APIVersion.martlet),
        ]
    }

    /// As Firecracker names states; one that has ended is about to go, and runs until then.
    var stateName: String {
        switch snapshot.machine?.phase {
        case nil, .notStarted: "Not started"
        case .paused: "Paused"
        case .running, .ended: "Running"
        }
    }

    private var wholeConfiguration: JSONValue {
        let state = snapshot
        var object: JSONObject = [
            "boot-source": state.resources.bootSource?.json ?? .null,
            "drives": .array(state.resources.drives.map(\.json)),
            "machine-config": state.resources.size.json,
        ]
        if let entropy = state.resources.entropy { object["entropy"] = entropy.json }
        if let serial = state.resources.serial { object["serial"] = serial.json }
        if let logger = state.logger { object["logger"] = logger.json }
        if let metrics = state.metrics { object["metrics"] = metrics.json }
        return .object(object)
    }

    // MARK: - Before the start

    private func setBootSource(_ body: JSONValue) throws(APIError) {
        try checkConfigurable()
        let source = try BootSource(body)
        try MachineResources.checkReadable(source.kernelImagePath, "the kernel")
        if let initrd = source.initrdPath { try MachineResources.checkReadable(initrd, "the initrd") }
        change { $0.resources.bootSource = source }
    }

    private func setSize(_ body: JSONValue) throws(APIError) {
        try checkConfigurable()
        let size = try MachineSize(body)
        change { $0.resources.size = size }
    }

    private func changeSize(_ body: JSONValue) throws(APIError) {
        try checkConfigurable()
        let size = try MachineSize(body, changing: snapshot.resources.size)
        change { $0.resources.size = size }
    }

    private func setDrive(_ identifier: String, _ body: JSONValue) throws(APIError) {
        try checkConfigurable()
        var resources = snapshot.resources
        try resources.set(try Drive(body, at: identifier))
        let changed = resources
        change { $0.resources = changed }
    }

    private func setEntropy(_ body: JSONValue) throws(APIError) {
        try checkConfigurable()
        let entropy = try EntropySource(body)
        change { $0.resources.entropy = entropy }
    }

    private func setSerial(_ body: JSONValue) throws(APIError) {
        try checkConfigurable()
        let serial = try SerialConsole(body)
        change { $0.resources.serial = serial }
    }

    private func setLogger(_ body: JSONValue) throws(APIError) {
        try set(try LoggerSettings(body))
    }

    private func setMetrics(_ body: JSONValue) throws(APIError) {
        try checkConfigurable()
        try set(try MetricsSettings(body))
    }

    // MARK: - While it runs

    private enum Action: String, CaseIterable {
        case instanceStart = "InstanceStart"
        case sendCtrlAltDel = "SendCtrlAltDel"
        case flushMetrics = "FlushMetrics"
    }

    private func act(_ body: JSONValue) throws(APIError) {
        switch try Self.action(body, of: Action.self) {
        case .instanceStart:
            try checkConfigurable()
            try start()
        case .sendCtrlAltDel: try startedMachine().pressControlAltDelete()
        case .flushMetrics:
            _ = try startedMachine()
            guard flushMetrics() else { throw APIError("There is no file for metrics: PUT /metrics names one.") }
        }
    }

    static func action<Action: RawRepresentable & CaseIterable>(
        _ body: JSONValue,
        of type: Action.Type
    ) throws(APIError) -> Action where Action.RawValue == String {
        try inAPITerms { () throws(JSONError) in
            var fields = try JSONFields(body, of: "action")
            let action = try fields.required("action_type", .enumeration(type))
            try fields.finish()
            return action
        }
    }

    private enum Phase: String, CaseIterable {
        case paused = "Paused"
        case resumed = "Resumed"
    }

    private func setPhase(_ body: JSONValue, _ responder: HTTPResponder) throws(APIError) -> HTTPResponse? {
        let phase = try inAPITerms { () throws(JSONError) in
            var fields = try JSONFields(body, of: "vm")
            let phase = try fields.required("state", .enumeration(Phase.self))
            try fields.finish()
            return phase
        }
        let machine = try startedMachine()
        let answer: @Sendable (Result<Void, MachineError>) -> Void = { result in
            switch result {
            case .success: responder.send(.done)
            case .failure(let error): responder.send(.fault(APIError("\(error)")))
            }
        }
        switch phase {
        case .paused: machine.pause(answer)
        case .resumed: machine.resume(answer)
        }
        return nil
    }

    private func changeDrive(_ identifier: String, _ body: JSONValue) throws(APIError) {
        let machine = try startedMachine()
        let drives = snapshot.resources.orderedDrives
        let request = try DriveChange(body, at: identifier)
        guard let index = drives.firstIndex(where: { $0.identifier == identifier }) else {
            throw APIError("There is no drive '\(identifier)'.")
        }
        if let path = request.path {
            do throws(MachineError) {
                try machine.replaceDisk(index, by: FilePath(path))
            } catch {
                throw APIError("\(error)")
            }
        }
        if let limit = request.rateLimit { machine.setRateLimit(limit, ofDisk: index) }
        change { state in
            state.resources.update(identifier) { drive in
                if let path = request.path { drive.path = path }
                if let limit = request.rateLimit { drive.rateLimit = limit }
            }
        }
    }
}
