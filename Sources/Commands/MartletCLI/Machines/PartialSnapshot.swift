// SPDX-License-Identifier: Apache-2.0

import Host
import Snapshot
import Synchronization
import SystemPackage

/// The snapshot that a command has a machine saved to, for a signal that breaks the command off.
final class PartialSnapshot: Sendable {
    private let path = Mutex<(folder: FilePath?, isUnwanted: Bool)>((nil, false))

    /// Makes the folder of a snapshot, unless a signal has come already.
    ///
    /// - Throws: As `SnapshotDraft`.
    func make(_ path: FilePath, replacing isReplacing: Bool = false) throws -> SnapshotDraft {
        try self.path.withLock { state in
            // The process is about to end.
            while state.isUnwanted { _ = Poll.wait(for: [], timeout: nil) }
            let draft = try SnapshotDraft(path, replacing: isReplacing)
            state.folder = draft.partialPath
            return draft
        }
    }

    /// Removes what there is of the snapshot, unless it has its name by now.
    func remove() {
        path.withLock { state in
            state.isUnwanted = true
            // The command may make a file in it just now.
            for _ in 0..<3 { if let folder = state.folder, folder.exists { SnapshotRemoval.remove(folder) } }
        }
    }
}
