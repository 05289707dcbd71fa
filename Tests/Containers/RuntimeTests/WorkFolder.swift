// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import RootImage
import SystemPackage

/// A folder for one test.
final class WorkFolder {
    let path: FilePath

    init() throws {
        var template = Array("/tmp/martlet-runtime-XXXXXX".utf8CString)
        guard unsafe mkdtemp(&template) != nil else { throw Errno(rawValue: errno) }
        path = FilePath(platformString: template)
    }

    deinit { ImageCache.removeTree(path) }

    func makeFolder(_ name: String) throws {
        guard unsafe mkdir("\(path)/\(name)", 0o755) == 0 else { throw Errno(rawValue: errno) }
    }

    func write(_ text: String, _ name: String, mode: mode_t = 0o644) throws {
        let file = try FileDescriptor.open(
            FilePath("\(path)/\(name)"),
            .writeOnly,
            options: [.create, .truncate],
            permissions: .ownerReadWrite
        )
        try file.closeAfter { try file.write(all: text.utf8) }
        guard unsafe chmod("\(path)/\(name)", mode) == 0 else { throw Errno(rawValue: errno) }
    }
}
