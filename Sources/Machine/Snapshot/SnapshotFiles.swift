// SPDX-License-Identifier: Apache-2.0

import Glibc
package import Host
import SystemPackage

/// The files of a snapshot that another process has made, and those of the one that it is to differ from, by their names.
///
/// That process opens and names them with its own rights; this one, in a sandbox, only fills them.
package final class SnapshotFiles: Sendable {
    /// The names of the older snapshot's files, which are for reading.
    package static let (baseState, baseMemory) = ("base/\(SnapshotFile.state)", "base/\(SnapshotFile.memory)")

    private let files: PassedFiles
    private let names: [String]

    /// Takes files over, with their names in the same order.
    ///
    /// `nil` where there is another number of them, or a name twice, or a file that is not regular or not open for what is to be
    /// done: another kind could make the machine wait.
    package init?(_ files: PassedFiles, names: [String]) {
        guard files.descriptors.count == names.count, Set(names).count == names.count else { return nil }
        for (name, file) in zip(names, files.descriptors) {
            let (flags, isBase) = (fcntl(file.rawValue, F_GETFL), name.hasPrefix("base/"))
            guard (try? file.stat())?.type == .regular, flags >= 0,
                flags & O_ACCMODE == O_RDWR || isBase && flags & O_ACCMODE == O_RDONLY
            else { return nil }
        }
        (self.files, self.names) = (files, names)
    }

    /// A copy of the descriptor of a file.
    ///
    /// - Throws: `Errno`: nobody has sent it, or the host has no descriptor left.
    func file(_ name: String) throws(Errno) -> OwnedDescriptor {
        guard let index = names.firstIndex(of: name) else { throw .noSuchFileOrDirectory }
        return try OwnedDescriptor(duplicating: files.descriptors[index])
    }
}
