// SPDX-License-Identifier: Apache-2.0

import HTTP
import Machine
import MachineModel
import Snapshot

/// Saved machines: Firecracker's requests, and Martlet's own for a snapshot that is a folder.
extension MachineService {
    /// Saves the machine to a folder, and answers when the snapshot is on the disk.
    func save(_ request: RoutedRequest) throws(APIError) -> HTTPResponse? {
        let body: SnapshotBody = try request.body(named: "snapshot")
        _ = try startedMachine()
        return try save(body.options(request.request.files), "", request)
    }

    /// Saves the machine, which is paused, to two files, and answers when the snapshot is on the disk.
    func createSnapshot(_ request: RoutedRequest) throws(APIError) -> HTTPResponse? {
        let body = try request.body(SnapshotCreation.self, named: "snapshot")
        var options = try body.options(dialect)
        // Without an earlier snapshot, all pages differ. On top of its files, the differences make a whole one again.
        if body.kind == .diff, let base = lastSnapshot, case .files(let place) = options.place,
            place.state != base.state, place.memory != base.memory
        {
            options.base = base
        }
        return try save(options, "Create snapshot error: Cannot save the microVM state: ", request)
    }

    private func save(
        _ options: SaveOptions,
        _ prefix: String,
        _ request: RoutedRequest
    ) throws(APIError) -> HTTPResponse? {
        let machine = try startedMachine()
        // The connection to its program would be cut, and the program ends with it.
        if program != nil {
            throw APIError(prefix + "A machine of a container image cannot be saved: its program would end.")
        }
        if options.files == nil {
            for path in [options.place.files, options.base].compactMap(\.self).flatMap({ [$0.state, $0.memory] }) {
                try checkReach(path)
            }
        }
        let received = request.received
        let wasPaused = machine.phase == .paused
        machine.save(options) { [self] result in
            switch result {
            case .success:
                // A client that has gone publishes no snapshot and resumes no machine: this one would stay paused.
                if options.isPausing, !wasPaused { received.responder.onClientGone { machine.resume { _ in } } }
                if options.base == nil, options.files == nil { change { $0.lastSnapshot = options.place.files } }
                send(.done, to: received)
            // Firecracker's words, which its clients know.
            case .failure(.notPaused):
                refuse(received, APIError(prefix + "Operation not allowed: save/restore unavailable while running"))
            case .failure(let error): refuse(received, APIError(prefix + "\(error)"))
            }
        }
        return nil
    }

    /// Restores a saved machine, in the place of a configured one.
    func loadSnapshot(_ request: RoutedRequest) throws(APIError) -> HTTPResponse? {
        let body: SnapshotLoad = try request.body(named: "snapshot")
        guard let old = body.deprecatedField else {
            try load(body)
            return .done
        }
        let answer = deprecated(request, "/snapshot/load: \(old) field is deprecated.")
        do throws(APIError) {
            try load(body)
        } catch {
            var error = error
            error.isDeprecated = true
            throw error
        }
        return answer
    }

    private func load(_ body: SnapshotLoad) throws(APIError) {
        var options = try body.options(dialect)
        let place = try body.place()
        try checkConfigurable()
        guard !isConfigured else {
            throw APIError(
                """
                Load snapshot error: Loading a microVM snapshot not allowed after configuring boot-specific resources.
                """
            )
        }
        options.serial = snapshot.configuration.serial
        do throws(APIError) {
            let snapshot: MachineSnapshot
            do throws(SnapshotError) {
                snapshot = try MachineSnapshot(place)
            } catch {
                throw APIError(.snapshot(error), restoring: place)
            }
            try start(restoring: snapshot, options)
            change { $0.lastSnapshot = place }
        } catch {
            // Firecracker's process cannot try again after this, and its clients wait for its end.
            change { $0.isRestoreFailed = dialect == .firecracker }
            throw APIError("Load snapshot error: Failed to restore from snapshot: \(error.text(dialect))")
        }
    }

    /// Indicates whether anything was described already but messages, counters and the console's place.
    private var isConfigured: Bool {
        var configuration = snapshot.configuration
        (configuration.logger, configuration.metrics, configuration.serial) = (nil, nil, nil)
        return configuration != .init()
    }
}
