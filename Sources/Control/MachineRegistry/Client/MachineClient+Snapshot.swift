// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import JSON
package import Machine
import MachineModel
package import Snapshot
package import SystemPackage

/// Saving a machine that has a process of its own, whose sandbox lets it open no file where the snapshot is to be.
extension MachineClient {
    /// Has the machine saved to files that this process makes, and publishes the snapshot.
    ///
    /// - Parameters:
    ///   - draft: The snapshot.
    ///   - disks: The disks that are copied.
    ///   - base: The folder of the snapshot that only the differences to are saved.
    ///   - isStopping: Whether the machine ends then; it does not run in between.
    /// - Throws: The reason why it is not saved; the machine goes on then.
    package func save(
        to draft: SnapshotDraft,
        disks: SaveOptions.Disks = .writable,
        changedFrom base: FilePath? = nil,
        thenStops isStopping: Bool = false
    ) throws {
        let wasPaused = try isPaused
        let machine = try request("GET", "/vm/config").decode(as: MachineConfiguration.self)
        let copies = machine.orderedDrives.filter(disks.include).map { "\(SnapshotFile.disks)/\($0.id)" }
        var names = [SnapshotFile.memory, SnapshotFile.state] + copies
        var descriptors: [CInt] = []
        for name in names { descriptors.append(try draft.makeFile(name).release()) }
        if let base {
            let folder = try SnapshotFolder(base)
            let memory = try folder.memoryFile()
            let state = try folder.stateFile()
            names += [SnapshotFiles.baseMemory, SnapshotFiles.baseState]
            for file in [memory.descriptor.borrowed, state.descriptor.borrowed] {
                descriptors.append(try OwnedDescriptor(duplicating: file).release())
            }
        }
        let files = PassedFiles(adopting: descriptors)
        let body: JSONValue = [
            "path": .string(draft.place.state.parent.hostText), "disks": .string(disks.rawValue),
            "diff_of": base.map { .string($0.hostText) } ?? .null, "pause": .bool(isStopping),
            "files": .array(names.map(JSONValue.string)),
        ]
        try request("PUT", "/martlet/snapshot", body, files: files.descriptors, until: .after(.seconds(3600)))
        do {
            try draft.publish()
        } catch {
            if isStopping, !wasPaused { try? resume() }
            throw error
        }
        if isStopping { try act("Kill") }
    }
}
