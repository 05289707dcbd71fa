// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host

/// The page after the memory in a memory file: it has the same id as `state`, so that snapshots are not mixed up.
///
/// A file as Firecracker's has none. Its state has the file's stamp instead.
enum MemoryFooter {
    static let byteCount = 4096
    private static let magic = "martlet-memory 1 "

    /// The page.
    static func page(id: Base64) -> [UInt8] {
        let text = Array((magic + id.text + "\n").utf8)
        return text + [UInt8](repeating: 0, count: byteCount - text.count)
    }

    /// Tells a file that was renamed or linked from all others, and from itself after a change.
    static func stamp(_ status: stat) -> String {
        "\(status.st_ino) \(status.st_mtim.tv_sec).\(status.st_mtim.tv_nsec)"
    }
}
