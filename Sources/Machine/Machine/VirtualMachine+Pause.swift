// SPDX-License-Identifier: Apache-2.0

import Host
import Synchronization

/// Pausing, resuming, and work on a machine that is paused for it.
extension VirtualMachine {
    /// Takes every vCPU out of the guest and finishes all input and output: nothing changes guest memory until `resume`.
    ///
    /// A paused machine stays paused.
    ///
    /// - Parameter completion: Called from one of the machine's threads when all is stopped, or with `MachineError.notRunning`.
    package func pause(_ completion: @escaping @Sendable (Result<Void, MachineError>) -> Void) {
        whileStarted(completion) { [self] in
            guard phase != .paused else { return completion(.success(())) }
            guard phase == .running else { return completion(.failure(.notRunning)) }
            parts.pause()
            state.withLock { $0.isPaused = true }
            completion(.success(()))
        }
    }

    /// Resumes a paused machine; a running one keeps running.
    ///
    /// - Parameter completion: Called when it does, or with `MachineError.notRunning`.
    package func resume(_ completion: @escaping @Sendable (Result<Void, MachineError>) -> Void) {
        whileStarted(completion) { [self] in
            guard phase != .running else { return completion(.success(())) }
            guard phase == .paused else { return completion(.failure(.notRunning)) }
            state.withLock { $0.isPaused = false }
            parts.resume()
            completion(.success(()))
        }
    }

    /// Calls `body` while the machine is stopped, on the thread that pauses and resumes; then a machine that ran resumes.
    ///
    /// - Parameters:
    ///   - completion: Gets the error of `body` or of the rest, or `MachineError.notRunning`.
    ///   - body: May take its time; returns the rest of the work, which is done after the machine resumes.
    func whileStanding(
        _ completion: @escaping @Sendable (Result<Void, MachineError>) -> Void,
        _ body: @escaping @Sendable () throws(MachineError) -> () throws(MachineError) -> Void
    ) {
        whileStarted(completion) { [self] in
            let isRunning = phase == .running
            guard isRunning || phase == .paused else { return completion(.failure(.notRunning)) }
            // The work has released its locks and files when the completion is called.
            completion(Result { () throws(MachineError) in try standAndFinish(isRunning: isRunning, body) })
        }
    }

    private func standAndFinish(
        isRunning: Bool,
        _ body: () throws(MachineError) -> () throws(MachineError) -> Void
    ) throws(MachineError) {
        // The threads of a machine that was paused before it ran may still be on their way to the pause.
        parts.pause()
        let rest = Result { () throws(MachineError) in try body() }
        // It may have paused the machine for good.
        if isRunning, phase != .paused { parts.resume() }
        try rest.get()()
    }

    /// Calls `body` on the control thread; fails with `MachineError.notRunning` without one.
    private func whileStarted<R: Sendable>(
        _ completion: @escaping @Sendable (Result<R, MachineError>) -> Void,
        _ body: @escaping @Sendable () -> Void
    ) {
        guard phase == .running || phase == .paused, control.run(body) else { return completion(.failure(.notRunning)) }
    }

    /// Asks the guest to get ready for a snapshot, and calls `body` when it is ready, or takes too long.
    func askGuest(_ point: SnapshotPoint, _ body: @escaping @Sendable () -> Void) {
        point.ask(on: timers, body)
    }

    /// Like `pause(_:)`; returns when all is stopped.
    package func pause() async throws(MachineError) {
        try await withCheckedContinuation { continuation in pause { continuation.resume(returning: $0) } }.get()
    }

    /// Like `resume(_:)`.
    package func resume() async throws(MachineError) {
        try await withCheckedContinuation { continuation in resume { continuation.resume(returning: $0) } }.get()
    }
}
