// SPDX-License-Identifier: Apache-2.0

import Console
import Host
import Logging
package import Machine
import MachineModel
import Metadata
import Snapshot
import Synchronization
import SystemPackage

/// The start of the machine, booted or restored.
extension MachineService {
    /// Resolves names of descriptors in a description to their paths.
    func resolved(_ configuration: MachineConfiguration) -> MachineConfiguration {
        var configuration = configuration
        configuration.mapPaths(resolved)
        configuration.networkInterfaces = configuration.networkInterfaces.map(resolved)
        return configuration
    }

    private func resolved(_ interface: NetworkInterface) -> NetworkInterface {
        var interface = interface
        interface.descriptors = interface.descriptors.map { descriptors["descriptor:\($0)"].map(Int.init) ?? $0 }
        return interface
    }

    private func resolved(_ path: String) -> String {
        descriptors[path].map { "/proc/self/fd/\($0)" } ?? path
    }

    /// Makes the machine and starts it.
    ///
    /// - Throws: `APIError`; the configuration may then be changed and started again.
    package func start() throws(APIError) {
        let configuration = state.withLock { $0.configuration }
        if let service = configuration.metadataService { metadata.configure(service) }
        guard configuration.bootSource != nil else {
            let words = "Cannot start microvm without kernel configuration."
            throw APIError(words, firecracker: "Start microvm error: \(words)")
        }
        // Templates have no effect here; but clients that name one on a wrong host expect the refusal.
        if dialect == .firecracker, let vendor = configuration.size.cpuTemplate?.vendor,
            HostDescription.current().vendor != vendor
        {
            let words = "CPU vendor mismatched between actual CPU and CPU template."
            throw APIError("Start microvm error: Failed to get CPU template: \(words)")
        }
        try start(.boot(resolved(configuration)))
    }

    /// Restores a saved machine and starts it.
    package func start(
        restoring snapshot: MachineSnapshot,
        _ options: RestoreOptions = RestoreOptions()
    ) throws(APIError) {
        var resolved = options
        if resolved.hostName == nil, identifier != Self.defaultIdentifier { resolved.hostName = identifier }
        resolved.drives = options.drives.mapValues { FilePath(hostText: self.resolved($0.hostText)) }
        resolved.networks = options.networks.mapValues { self.resolved($0) }
        try start(.restore(snapshot, resolved), isPaused: options.isPaused, from: snapshot.folder.place) {
            if let service = snapshot.machine.configuration.metadataService { metadata.configure(service) }
            change { $0.describe(snapshot.description(options)) }
        }
    }

    private func start(
        _ start: MachineStart,
        isPaused: Bool = false,
        from place: SnapshotPlace? = nil,
        onMade: () -> Void = {}
    ) throws(APIError) {
        let machine: VirtualMachine
        do throws(MachineError) {
            machine = try VirtualMachine(
                start,
                console: attachment,
                logger: logger,
                metadata: metadata,
                onEvent: onEvent,
                prepareThread: prepareThread
            )
        } catch {
            throw APIError(error, restoring: place)
        }
        onMade()
        if dialect == .firecracker, let vsock = machine.vsock { log.follow(vsock) }
        do {
            try onReady(machine)
        } catch {
            throw APIError("\(error)")
        }
        try state.withLock { state throws(APIError) in
            guard !state.isAbandoned else { throw APIError("Martlet is shutting down.") }
            state.machine = machine
            state.awaitsOrder = isPaused
            state.startedAt = .now
        }
        machine.whenEnded { [self] outcome in handleEnd(outcome) }
        do throws(MachineError) {
            try machine.start(isPaused: isPaused)
        } catch {
            throw APIError("\(error)")
        }
        metricsFile.start(on: machine) { [weak self] in
            self?.flushMetrics()
            // A line brings a part of the program into memory that nothing else needs.
            ProcessMemory.giveBack()
        }
        onStarted()
    }
}
