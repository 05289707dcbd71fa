// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
package import SystemPackage

/// The file that keeps what a guest sent to its console, for when nobody watched.
///
/// The guest decides how much that is, so the file is bounded: at `capacity` bytes it becomes `PATH.1`, in the place of an
/// older one, and a new one begins.
package struct ConsoleLog: ~Copyable, Sendable {
    package static let capacity = 4 << 20

    private let path: FilePath
    private var file: OwnedDescriptor
    private var byteCount = 0
    private let capacity: Int

    /// Makes the file anew.
    ///
    /// - Parameters:
    ///   - path: Where it lies; only its owner may read it.
    ///   - capacity: When to begin the next one, in bytes.
    /// - Throws: `Errno` where it cannot be made.
    package init(path: FilePath, capacity: Int = Self.capacity) throws(Errno) {
        self.path = path
        self.capacity = capacity
        file = try Self.create(path)
    }

    private static func create(_ path: FilePath) throws(Errno) -> OwnedDescriptor {
        let flags = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW
        let raw = unsafe path.withPlatformString { unsafe open($0, flags, 0o600) }
        guard raw >= 0 else { throw Errno(rawValue: errno) }
        return OwnedDescriptor(adopting: raw)
    }

    /// Writes all of `bytes`.
    ///
    /// - Throws: `Errno`, such as for a full file system; some of it may be written.
    mutating func append(_ bytes: ArraySlice<UInt8>) throws(Errno) {
        if byteCount + bytes.count > capacity { try rotate() }
        do {
            byteCount += try file.borrowed.writeAll(bytes)
        } catch {
            throw error as? Errno ?? .ioError
        }
    }

    private mutating func rotate() throws(Errno) {
        let older = FilePath(path.string + ".1")
        let result = unsafe path.withPlatformString { from in
            unsafe older.withPlatformString { unsafe rename(from, $0) }
        }
        guard result == 0 else { throw Errno(rawValue: errno) }
        file = try Self.create(path)
        byteCount = 0
    }
}
