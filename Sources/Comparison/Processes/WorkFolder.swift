// SPDX-License-Identifier: Apache-2.0

import CComparison
import Glibc

/// The folder of one comparison: everything that it writes is in it, and it is gone in the end.
final class WorkFolder {
    let path: String

    /// Makes one in `TMPDIR`, else in `/var/tmp`, which is on a disk where `/tmp` may be in memory.
    ///
    /// - Throws: `ComparisonError.system`.
    init() throws(ComparisonError) {
        let parent = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/var/tmp"
        var template = Array("\(parent)/\(Self.prefix)\(getpid())-XXXXXX".utf8CString)
        try checked("making a folder in \(parent)", unsafe mkdtemp(&template) == nil ? -errno : 0)
        path = String(decoding: template.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        // Programs of other users are to find what they run: those of a container with user namespaces.
        unsafe chmod(path, 0o755)
    }

    static let prefix = "martlet-compare-"

    /// Whether a sync of a file in it reaches no disk.
    var isInMemory: Bool { unsafe ccompare_is_in_memory(path) == 1 }

    deinit {
        Files.remove(path)
    }
}
