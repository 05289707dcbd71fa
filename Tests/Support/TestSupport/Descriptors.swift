// SPDX-License-Identifier: Apache-2.0

import Host
import SystemPackage

/// The sockets of this process's network namespace.
package enum Descriptors {
    /// The number of open sockets that were bound beside `path`: the one that listens, and the server's end of each connection.
    package static func count(to path: String) throws -> Int {
        // A server binds its socket under another name of the same folder first, which stays its address.
        let folder = path.split(separator: "/").dropLast().map { "/" + $0 }.joined()
        return String(decoding: try FileContents.read("/proc/self/net/unix"), as: UTF8.self)
            .split(separator: "\n")
            .count { $0.contains(" \(folder)/") }
    }

    /// Waits until this process has a file open so many times.
    package static func wait(forCount count: Int, of path: String) throws {
        try Deadline.wait(for: "\(path) to be open \(count) times") {
            (0..<1024).count { (try? FilePath("/proc/self/fd/\($0)").linkTarget()) == path } == count
        }
    }

    /// Waits until there is none: a child of this process has copies until it runs its own program.
    package static func waitUntilNone(to path: String) throws {
        try Deadline.wait(for: "the sockets of \(path) to be closed") { try count(to: path) == 0 }
    }
}
