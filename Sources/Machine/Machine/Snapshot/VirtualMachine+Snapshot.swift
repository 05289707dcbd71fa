// SPDX-License-Identifier: Apache-2.0

import Console
package import MachineModel
package import Snapshot
import Synchronization
package import SystemPackage

extension VirtualMachine {
    /// The description that the machine was made of.
    package var configuration: MachineConfiguration { parts.configuration }

    /// Saves the machine; one that runs continues after it, one that is paused stays so.
    ///
    /// A guest that takes part, and runs, is asked to get ready first.
    ///
    /// - Parameters:
    ///   - options: The place and the contents of the snapshot.
    ///   - completion: Called from one of the machine's threads, with what kept the machine from being saved. Then nothing has
    ///     changed.
    package func save(
        _ options: SaveOptions,
        _ completion: @escaping @Sendable (Result<Void, MachineError>) -> Void
    ) {
        guard phase == .running, !options.isPauseRequired, let point = parts.snapshotPoint, point.isUsed else {
            return saveAsItIs(options, completion)
        }
        askGuest(point) { [self] in saveAsItIs(options, completion) }
    }

    /// Saves the machine the next time that its guest is ready for it, without asking it: the default guest is when it has
    /// booted.
    ///
    /// Not where somebody has typed before: the guest may have kept that, and each restored machine would run it again.
    ///
    /// - Parameters:
    ///   - options: The place and the contents of the snapshot.
    ///   - completion: Called from one of the machine's threads; not where the guest never is ready.
    package func saveWhenReady(
        _ options: SaveOptions,
        _ completion: @escaping @Sendable (Result<Void, MachineError>) -> Void
    ) {
        var options = options
        options.isUntypedRequired = true
        parts.snapshotPoint?.whenReady { [weak self, options] in self?.saveAsItIs(options, completion) }
    }

    /// Saves the machine when its guest has booted, for others that bring disks of their own.
    ///
    /// - Parameters:
    ///   - path: The folder of the snapshot; where it cannot be made, the next machine boots as this one did.
    ///   - isStopping: Whether the machine is there for nothing else.
    package func saveAsTemplate(at path: FilePath, thenStops isStopping: Bool = false) {
        var options = SaveOptions(.folder(path, isReplacing: true))
        (options.disks, options.isStopping) = (.none, isStopping)
        saveWhenReady(options) { [weak self] result in
            if isStopping, case .failure = result { self?.stop() }
        }
    }

    private func saveAsItIs(
        _ options: SaveOptions,
        _ completion: @escaping @Sendable (Result<Void, MachineError>) -> Void
    ) {
        whileStanding(completion) { [self] () throws(MachineError) in
            if options.isPauseRequired, phase != .paused { throw .notPaused }
            // Not before: the guest that was saved still waits.
            defer { parts.snapshotPoint?.letGo() }
            if options.isUntypedRequired, parts.serialConsole?.isTypedAt == true { throw .typedAt }
            let publish = try parts.save(options) { state.withLock { $0.reason == nil } }
            if options.isPausing { state.withLock { $0.isPaused = true } }
            guard options.isStopping else { return publish }
            // Not another step: only when all is on the disk.
            try publish()
            stop()
            return {}
        }
    }

    /// Saves the machine to a folder, and returns when all is on the disk.
    ///
    /// - Parameters:
    ///   - path: The snapshot's folder, in one that exists.
    ///   - isReplacing: Whether a snapshot that is there may be replaced.
    /// - Throws: The reason why the machine was not saved.
    package func save(to path: FilePath, replacing isReplacing: Bool = false) async throws(MachineError) {
        try await withCheckedContinuation { continuation in
            save(SaveOptions(.folder(path, isReplacing: isReplacing))) { continuation.resume(returning: $0) }
        }.get()
    }
}

/// The options for saving a machine.
package struct SaveOptions: Sendable {
    /// The place of a snapshot.
    package enum Place: Sendable {
        /// A folder, in one that exists; an older snapshot there may be replaced.
        case folder(FilePath, isReplacing: Bool)
        /// Files, which replace existing ones.
        case files(SnapshotPlace)

        /// The files, wherever they are.
        package var files: SnapshotPlace {
            switch self {
            case .folder(let path, _): SnapshotPlace(folder: path)
            case .files(let place): place
            }
        }
    }

    /// The disks that are copied into a snapshot.
    package enum Disks: String, Codable, CaseIterable, Sendable {
        /// The disks that the guest can write to.
        case writable = "copy"
        /// All of them.
        case all
        /// None: a restore names their files.
        case none

        package func include(_ drive: Drive) -> Bool {
            switch self {
            case .none: false
            case .writable: !drive.isReadOnly
            case .all: true
            }
        }
    }

    package var place: Place
    /// The snapshot that only the differences to are saved.
    package var base: SnapshotPlace?
    /// The files of a folder, and those of the base, where another process has opened them: it names and publishes them.
    package var files: SnapshotFiles?
    package var disks = Disks.writable
    /// Indicates whether the machine's vsock connections end, and a restore maps its memory in one piece, with the holes:
    /// Firecracker's tools tell a guest's memory from the process's by the size of the mapping.
    package var followsFirecracker = false
    /// Indicates whether the machine ends when it is saved, without another step.
    package var isStopping = false
    /// Indicates whether the machine is paused when it is saved, without another step.
    package var isPausing = false
    /// Indicates whether only a machine that is paused is saved.
    package var isPauseRequired = false
    /// Indicates whether only a machine is saved whose guest was sent nothing by its console.
    package var isUntypedRequired = false

    package init(_ place: Place) { self.place = place }
}
