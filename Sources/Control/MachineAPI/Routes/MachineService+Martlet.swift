// SPDX-License-Identifier: Apache-2.0

import Console
import Dispatch
import Glibc
import HTTP
import Host
import JSON
import Machine
import MachineModel
import SystemPackage

/// The resources that only Martlet has: under `/martlet/`.
extension MachineService {
    /// The protocol of a console's connection: output one way, input the other, and nothing else.
    package static let consoleProtocol = "martlet-console"

    func machineDescription() -> JSONValue {
        let state = snapshot
        return [
            "id": .string(identifier), "pid": .integer(Int64(getpid())), "state": .string(stateName),
            "started_at": state.startedAt.map { .string("\($0)") } ?? .null,
            "started_at_ms": state.startedAt.map { .integer($0.millisecondsSinceEpoch) } ?? .null,
            "console_position": .count(console?.byteCount ?? 0),
            "notes": .encoding(notes), "outcome": state.result.map { .encoding($0) } ?? .null,
            "program": program?.json ?? .null,
            "opened_folders": .array(openedFolders.map { .string($0.hostText) }),
        ]
    }

    func machineStatistics() throws(APIError) -> JSONValue {
        let machine = try startedMachine()
        return MetricsReport.stats(machine.statistics, of: snapshot.configuration)
    }

    // MARK: - Actions

    private enum MartletAction: String, Codable, CaseIterable {
        case powerButton = "PowerButton"
        case shutdown = "Shutdown"
        case kill = "Kill"
        case sendBreak = "SendBreak"
        case rescanDrives = "RescanDrives"
    }

    func actAsMartlet(_ request: RoutedRequest) throws(APIError) -> HTTPResponse? {
        switch try request.body(ActionBody<MartletAction>.self, named: "action").type {
        case .powerButton: try startedMachine().pressPowerButton()
        case .shutdown:
            let machine = try startedMachine()
            guard let program else { return .json(["method": .string(machine.requestShutdown().rawValue)]) }
            program.stop()
            return .json(["method": "signal"])
        // Also before the start: the process ends in any case.
        case .kill: stop()
        case .sendBreak: try startedMachine().sendSerialBreak()
        case .rescanDrives:
            _ = try startedMachine()
            return .json(["changed": .encoding(rescanDisks())])
        }
        return .done
    }

    // MARK: - The console

    func resizeTerminal(_ request: RoutedRequest) throws(APIError) {
        let size = try request.body(Terminal.Size.self, named: "terminal")
        guard program?.resizeTerminal(to: size) == true else { throw APIError("This machine has no terminal.") }
    }

    /// - Returns: `nil` where the connection will be a console's.
    func attach(_ routed: RoutedRequest) throws(APIError) -> HTTPResponse? {
        let request = routed.request
        guard request.asksForUpgrade(to: Self.consoleProtocol) else {
            var response = HTTPResponse.fault(
                APIError(
                    "The console needs 'Connection: Upgrade' and 'Upgrade: \(Self.consoleProtocol)'.",
                    status: 426
                ),
                dialect
            )
            response.headers["Upgrade"] = Self.consoleProtocol
            return response
        }
        var position: UInt64?
        if let text = request.query["from"] {
            guard let number = UInt64(text) else { throw APIError("'from' must be a number of bytes, not '\(text)'.") }
            position = number
        }
        let wantsToType: Bool
        switch request.query["mode"] {
        case nil, "type": wantsToType = true
        case "watch": wantsToType = false
        case let mode?: throw APIError("'mode' is 'type' or 'watch', not '\(mode)'.")
        }
        guard let console else { throw APIError("This console has no viewers.") }
        guard let viewer = console.makeViewer(from: position, wantsToType: wantsToType) else {
            throw APIError("There are \(MachineConsole.viewerLimit) viewers already.", status: 503)
        }
        routed.responder.upgrade(
            to: Self.consoleProtocol,
            headers: [
                "Martlet-Console-Position": "\(viewer.firstPosition)",
                "Martlet-Console-Mode": viewer.isTyping ? "type" : "watch",
            ]
        ) { socket, typed in
            viewer.connect(socket, typed: typed)
        }
        return nil
    }
}

extension UnixSocket: ConsoleStream {}
