// SPDX-License-Identifier: Apache-2.0

import HTTP
import Host
import JSON
import Logging
import Machine
import MachineModel
import SystemPackage

/// The resources that Firecracker has as well.
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
        .encoding(snapshot.configuration.size)
    }

    /// The state in Firecracker's words; a machine that has ended counts as running until its process ends.
    var stateName: String {
        switch snapshot.machine?.phase {
        case nil, .notStarted: "Not started"
        case .paused: "Paused"
        case .running, .ended: "Running"
        }
    }

    func wholeConfiguration() -> JSONValue {
        switch dialect {
        case .martlet: snapshot.configuration.json
        case .firecracker: snapshot.configuration.firecrackerJSON
        }
    }

    // MARK: - Before the start

    func setBootSource(_ request: RoutedRequest) throws(APIError) {
        try configure { configuration throws(APIError) in
            let source: BootSource = try request.body(named: "boot-source")
            try inAPITerms { () throws(ConfigurationError) in try source.validate() }
            try source.checkFiles()
            configuration.bootSource = source
        }
    }

    func setSize(_ request: RoutedRequest) throws(APIError) -> HTTPResponse? {
        try configure { configuration throws(APIError) in
            let size: MachineSize = try request.body(named: "machine-config")
            try inAPITerms { () throws(ConfigurationError) in try size.validate() }
            configuration.size = size
            return answer(to: request, usesTemplate: size.cpuTemplate != nil)
        }
    }

    func changeSize(_ request: RoutedRequest) throws(APIError) -> HTTPResponse? {
        try configure { configuration throws(APIError) in
            let wanted: MachineSizeChange = try request.body(named: "machine-config")
            if wanted.isEmpty { throw APIError("Empty PATCH request.") }
            wanted.apply(to: &configuration.size)
            let size = configuration.size
            try inAPITerms { () throws(ConfigurationError) in try size.validate() }
            return answer(to: request, usesTemplate: wanted.cpuTemplate != nil)
        }
    }

    /// The answer to a change of the machine's size, which marks a deprecated field.
    private func answer(to request: RoutedRequest, usesTemplate: Bool) -> HTTPResponse {
        usesTemplate ? deprecated(request, "/machine-config: cpu_template field is deprecated.") : .done
    }

    /// Counts and logs a request with a deprecated field.
    ///
    /// - Returns: The answer where the request succeeds, which tells the client.
    func deprecated(_ request: RoutedRequest, _ words: String) -> HTTPResponse {
        requests.countDeprecated()
        logger.warning("\(request.request.method) \(words)")
        return HTTPResponse(204, headers: HTTPResponse.deprecation)
    }

    func setDrive(_ request: RoutedRequest) throws(APIError) {
        try configure { configuration throws(APIError) in
            let drive: Drive = try request.body(named: "drive")
            try inAPITerms { () throws(ConfigurationError) in try drive.validate() }
            try request.checkIdentifier(drive.id)
            guard !drive.isRoot || !configuration.drives.contains(where: { $0.isRoot && $0.id != drive.id }) else {
                let words = "A root block device already exists!"
                throw APIError(words, firecracker: FirecrackerWords.prefix(of: "drive") + words)
            }
            try drive.checkFile()
            configuration.set(drive)
        }
    }

    func setInterface(_ request: RoutedRequest) throws(APIError) {
        let problem = try configure { configuration throws(APIError) -> APIError? in
            var interface: NetworkInterface = try request.body(named: "network-interface")
            interface.takesGroupAddresses = dialect == .firecracker
            try inAPITerms { () throws(ConfigurationError) in try interface.validate() }
            try request.checkIdentifier(interface.id)
            let others = configuration.networkInterfaces.filter { $0.id != interface.id }
            if dialect == .firecracker, let problem = interface.problemOfTAP(beside: others) {
                // As in Firecracker, the interface that this would have replaced is gone.
                configuration.networkInterfaces = others
                return problem
            }
            try inAPITerms { () throws(ConfigurationError) in try interface.validateAsOther(than: others) }
            configuration.set(interface)
            return nil
        }
        if let problem { throw problem }
    }

    func setVsock(_ request: RoutedRequest) throws(APIError) -> HTTPResponse? {
        try configure { configuration throws(APIError) in
            var vsock: Vsock = try request.body(named: "vsock")
            vsock.takesReservedCIDs = dialect == .firecracker
            try inAPITerms { () throws(ConfigurationError) in
                guard vsock.path != nil else { throw ConfigurationError("vsock.uds_path", "is missing") }
                try vsock.validate()
            }
            if dialect == .firecracker { try vsock.checkFolder() }
            configuration.vsock = vsock
            return vsock.id == nil ? .done : deprecated(request, "/vsock: vsock_id field is deprecated.")
        }
    }

    func setEntropy(_ request: RoutedRequest) throws(APIError) {
        try configure { configuration throws(APIError) in
            configuration.entropy = try request.body(EntropySource.self, named: "entropy")
        }
    }

    func setSerial(_ request: RoutedRequest) throws(APIError) {
        try configure { configuration throws(APIError) in
            let serial: SerialSettings = try request.body(named: "serial")
            try inAPITerms { () throws(ConfigurationError) in try serial.validate() }
            configuration.serial = serial
        }
    }

    /// Changes the description, or nothing if the body is refused.
    private func configure<R>(_ change: (inout MachineConfiguration) throws(APIError) -> R) throws(APIError) -> R {
        try checkConfigurable()
        var configuration = snapshot.configuration
        let result = try change(&configuration)
        self.change { [configuration] state in state.configuration = configuration }
        return result
    }

    func setLogger(_ request: RoutedRequest) throws(APIError) {
        if dialect == .firecracker { try checkConfigurable() }
        try set(try request.body(LoggerSettings.self, named: "logger"))
    }

    func setMetrics(_ request: RoutedRequest) throws(APIError) {
        try checkConfigurable()
        try set(try request.body(MetricsSettings.self, named: "metrics"))
    }

    // MARK: - While it runs

    private enum Action: String, Codable, CaseIterable {
        case flushMetrics = "FlushMetrics"
        case instanceStart = "InstanceStart"
        case sendCtrlAltDel = "SendCtrlAltDel"
    }

    func act(_ request: RoutedRequest) throws(APIError) {
        switch try request.body(ActionBody<Action>.self, named: "action").type {
        case .instanceStart:
            try checkConfigurable()
            try start()
        case .sendCtrlAltDel: try startedMachine().pressControlAltDelete()
        case .flushMetrics:
            _ = try startedMachine()
            flushMetrics()
        }
    }

    /// The body of `PATCH /vm`.
    private struct PhaseBody: Codable {
        let state: Phase

        enum Phase: String, Codable, CaseIterable {
            case paused = "Paused"
            case resumed = "Resumed"
        }
    }

    func setPhase(_ request: RoutedRequest) throws(APIError) -> HTTPResponse? {
        let phase = try request.body(PhaseBody.self, named: "vm").state
        let machine = try startedMachine()
        change { $0.awaitsOrder = false }
        let received = request.received
        let answer: @Sendable (Result<Void, MachineError>) -> Void = { [self] result in
            switch result {
            case .success: send(.done, to: received)
            case .failure(let error): refuse(received, APIError("\(error)"))
            }
        }
        switch phase {
        case .paused: machine.pause(answer)
        case .resumed: machine.resume(answer)
        }
        return nil
    }

    func changeDrive(_ request: RoutedRequest) throws(APIError) {
        let wanted: DriveChange = try request.body(named: "drive")
        try inAPITerms { () throws(ConfigurationError) in try wanted.validate() }
        try request.checkIdentifier(wanted.id)
        let machine = try startedMachine()
        var drives = snapshot.configuration.orderedDrives
        guard let index = drives.firstIndex(where: { $0.id == wanted.id }) else {
            throw APIError("There is no drive '\(wanted.id)'.")
        }
        if wanted.isEmpty {
            throw APIError("Empty PATCH request.", firecracker: "Running method expected different backend.")
        }
        wanted.apply(to: &drives[index])
        let drive = drives[index]
        if let path = wanted.path {
            let file = FilePath(hostText: path)
            // The same file may have another size.
            if file != machine.disks[index].path { try checkReach(file) }
            try drive.checkFile()
            do throws(MachineError) {
                try machine.disks[index].replaceFile(by: file)
            } catch {
                throw APIError("\(error)")
            }
        }
        if wanted.rateLimit != nil { machine.disks[index].setRateLimit(drive.rateLimit) }
        change { $0.configuration.set(drive) }
    }
}

extension MachineService {
    func changeInterface(_ request: RoutedRequest) throws(APIError) {
        let wanted: NetworkInterfaceChange = try request.body(named: "network-interface")
        try inAPITerms { () throws(ConfigurationError) in try wanted.validate() }
        try request.checkIdentifier(wanted.id)
        let machine = try startedMachine()
        var interfaces = snapshot.configuration.networkInterfaces
        guard let index = interfaces.firstIndex(where: { $0.id == wanted.id }) else {
            throw APIError("There is no network interface '\(wanted.id)'.")
        }
        wanted.apply(to: &interfaces[index])
        let interface = interfaces[index]
        machine.interfaces[index].setRateLimits(receive: interface.receiveRateLimit, send: interface.sendRateLimit)
        change { $0.configuration.set(interface) }
    }
}

/// The body of a request for an action.
struct ActionBody<Action: Codable>: Codable {
    let type: Action

    enum CodingKeys: String, CodingKey {
        case type = "action_type"
    }
}

extension RoutedRequest {
    /// Checks that path and body name the same part of the machine.
    fileprivate func checkIdentifier(_ id: String) throws(APIError) {
        guard identifier == id else {
            throw APIError("The id from the path [\(identifier)] does not match the id from the body [\(id)]!")
        }
    }
}
