// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage

/// A note beside a snapshot's folder that its files are whole, which holds until one of them changes.
///
/// The process that has verified the memory's checksums writes it; others then check only the files' sizes and times. It is here
/// because martlet-runtime, which must start fast, knows nothing else of snapshots.
package struct SnapshotSeal {
    private let path: FilePath
    private let files: [FilePath]

    package init(of folder: FilePath, disks: [FilePath] = []) {
        path = FilePath(hostText: folder.hostText + ".whole")
        files = ["state", "memory"].map { folder.appending($0) } + disks
    }

    /// Indicates whether the note is there, of whatever files.
    package var isThere: Bool { path.exists }

    /// Indicates whether all files are as they were when the note was written.
    package var holds: Bool {
        guard let text else { return false }
        return (try? FileContents.text(of: path, limit: 1 << 16)) == text
    }

    /// Notes that the files are whole; where that cannot be written, they are compared again the next time.
    package func write() {
        if let text { try? FileContents.write(Array(text.utf8), to: path) }
    }

    package func remove() { path.removeFile() }

    private var text: String? {
        let identities = files.compactMap(FileContents.identity(of:))
        return identities.count == files.count ? identities.joined(separator: "\n") : nil
    }
}
