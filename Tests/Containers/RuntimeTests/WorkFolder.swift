// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import TestSupport

/// A folder for one test, in which a container's bundle and root are made.
final class WorkFolder {
    private let folder: TemporaryFolder
    let path: FilePath

    init() throws {
        folder = try TemporaryFolder()
        path = FilePath(folder.path)
    }

    func makeFolder(_ name: String) throws {
        try checked("mkdir", unsafe mkdir("\(path)/\(name)", 0o755))
    }

    func write(_ text: String, _ name: String, mode: mode_t = 0o644) throws {
        let path = try folder.write(Array(text.utf8), to: name)
        try checked("chmod", unsafe chmod(path, mode))
    }
}
