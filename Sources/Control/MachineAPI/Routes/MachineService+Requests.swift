// SPDX-License-Identifier: Apache-2.0

import HTTP
import JSON
import Machine
import SystemPackage

/// What Firecracker has as well.
extension MachineService {
    // MARK: - What is

    func instanceInformation() -> JSONValue {
        [
            "app_name": .string(APIVersion.name), "id": .string(identifier), "state": .string(stateName),
            "vmm_version": .string(APIVersion.martlet),
        ]
    }

    func version() -> JSONValue {
        ["firecracker_version": .string(APIVersion.firecracker)]
    }

    func machineSize() -> JSONValue {
        snapshot.resources.size.json
    }

    /// As Firecracker names states; one that has ended is about to go, and runs until then.
    var stateName: String {
        switch snapshot.machine?.phase {
        case nil, .notStarted: "Not started"
        case .paused: "Paused"
        case .running, .ended: "Running"
        }
    }

    func wholeConfiguration() -> JSONValue {
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

    func setBootSource(_ request: RoutedRequest) throws(APIError) {
        try configure(request) { resources, body throws(APIError) in resources.bootSource = try BootSource(body) }
    }

    func setSize(_ request: RoutedRequest) throws(APIError) {
        try configure(request) { resources, body throws(APIError) in resources.size = try MachineSize(body) }
    }

    func changeSize(_ request: RoutedRequest) throws(APIError) {
        try configure(request) { resources, body throws(APIError) in
            resources.size = try MachineSize(body, changing: resources.size)
        }
    }

    func setDrive(_ request: RoutedRequest) throws(APIError) {
        try configure(request) { resources, body throws(APIError) in
            try resources.set(try Drive(body, at: request.identifier))
        }
    }

    func setEntropy(_ request: RoutedRequest) throws(APIError) {
        try configure(request) { resources, body throws(APIError) in resources.entropy = try EntropySource(body) }
    }

    func setSerial(_ request: RoutedRequest) throws(APIError) {
        try configure(request) { resources, body throws(APIError) in resources.serial = try SerialConsole(body) }
    }

    /// Changes what the machine will have, or nothing where the body is refused.
    private func configure(
        _ request: RoutedRequest,
        _ change: (inout MachineResources, JSONValue) throws(APIError) -> Void
    ) throws(APIError) {
        try checkConfigurable()
        var resources = snapshot.resources
        try change(&resources, try request.body())
        self.change { [resources] state in state.resources = resources }
    }

    func setLogger(_ request: RoutedRequest) throws(APIError) {
        try set(try LoggerSettings(request.body()))
    }

    func setMetrics(_ request: RoutedRequest) throws(APIError) {
        try checkConfigurable()
        try set(try MetricsSettings(request.body()))
    }

    // MARK: - While it runs

    private enum Action: String, CaseIterable {
        case instanceStart = "InstanceStart"
        case sendCtrlAltDel = "SendCtrlAltDel"
        case flushMetrics = "FlushMetrics"
    }

    func act(_ request: RoutedRequest) throws(APIError) {
        switch try Self.action(request.body(), of: Action.self) {
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

    func setPhase(_ request: RoutedRequest) throws(APIError) -> HTTPResponse? {
        let body = try request.body()
        let phase = try inAPITerms { () throws(JSONError) in
            var fields = try JSONFields(body, of: "vm")
            let phase = try fields.required("state", .enumeration(Phase.self))
            try fields.finish()
            return phase
        }
        let machine = try startedMachine()
        let responder = request.responder
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

    func changeDrive(_ request: RoutedRequest) throws(APIError) {
        let wanted = try DriveChange(request.body(), at: request.identifier)
        let machine = try startedMachine()
        let drives = snapshot.resources.orderedDrives
        guard let index = drives.firstIndex(where: { $0.identifier == wanted.identifier }) else {
            throw APIError("There is no drive '\(wanted.identifier)'.")
        }
        if let path = wanted.path {
            do throws(MachineError) {
                try machine.disks[index].replaceFile(by: FilePath(path))
            } catch {
                throw APIError("\(error)")
            }
        }
        if let limit = wanted.rateLimit { machine.disks[index].setRateLimit(limit) }
        change { state in
            state.resources.update(wanted.identifier) { drive in
                if let path = wanted.path { drive.path = path }
                if let limit = wanted.rateLimit { drive.rateLimit = limit }
            }
        }
    }
}
