// SPDX-License-Identifier: Apache-2.0

import Host
import Machine
import MachineModel
import Metadata
import Synchronization

/// Writes counters as a line of JSON each minute, when it is asked to, and at the end.
final class MetricsFile: Sendable {
    private struct State: ~Copyable {
        var file: LineFile?
        var frame = MetricsReport.Frame()
        var last: MachineStatistics?
        var lastMetadata: MetadataStatistics?
        var timer: WorkThread.Timer?
    }

    private let state = Mutex(State())
    private static let interval = Duration.seconds(60)

    /// Opens the file; lines begin with the next call of `write`.
    func open(_ settings: MetricsSettings, identifier: String, _ startTime: StartTime) throws(APIError) {
        try state.withLock { state throws(APIError) in
            state.file = try LineFile(path: settings.path, "metrics")
            state.frame.settings = settings
            (state.frame.identifier, state.frame.startTime) = (identifier, startTime)
        }
    }

    var isOpen: Bool {
        state.withLock { $0.file != nil }
    }

    /// Calls `body`, and has the machine call it each minute, until `stop`; nothing where no file was named.
    func start(on machine: VirtualMachine, _ body: @escaping @Sendable () -> Void) {
        guard isOpen else { return }
        body()
        let timer = machine.makeTimer { [weak self] in
            body()
            self?.state.withLock { $0.timer?.schedule(after: Self.interval) }
        }
        timer.schedule(after: Self.interval)
        state.withLock { $0.timer = timer }
    }

    func stop() {
        state.withLock { $0.timer = nil }
    }

    /// Writes what was counted since the last line.
    func write(
        _ statistics: MachineStatistics,
        of configuration: MachineConfiguration,
        _ requests: RequestCounters,
        _ metadata: MetadataStatistics
    ) {
        state.withLock { state in
            guard state.file != nil else { return }
            state.frame.requests = requests.take()
            state.frame.metadata = metadata.metrics(since: state.lastMetadata)
            state.lastMetadata = metadata
            state.file?.write(MetricsReport.line(statistics, since: state.last, of: configuration, state.frame))
            state.last = statistics
        }
    }
}
