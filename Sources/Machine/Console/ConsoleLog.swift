// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
import Host
package import SystemPackage

/// The file that keeps a guest's console output.
///
/// The guest decides the amount, so the file is bounded: at `capacity` bytes it becomes `PATH.1`, in the place of an
/// older one, and a new one begins. On a file system that is full it continues in the space that it has: the last words
/// are kept, in `reserve` bytes at least.
package struct ConsoleLog: ~Copyable, Sendable {
    package static let capacity = 4 << 20
    /// The space that each file takes when it begins, in bytes.
    package static let reserve = 64 << 10

    private let path: FilePath
    private var file: OwnedDescriptor
    private var byteCount = 0
    private let capacity: Int

    private var olderPath: FilePath { FilePath(path.string + ".1") }

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
        let file = try OwnedDescriptor(opening: path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW)
        // Without room, or such a call, the log grows as it can.
        _ = chost_reserve(file.rawValue, reserve)
        return file
    }

    /// Writes all of `bytes`, or the last of them where the file system is full.
    ///
    /// - Throws: `Errno`; some of it may be written.
    mutating func append(_ bytes: ArraySlice<UInt8>) throws(Errno) {
        if byteCount + bytes.count > capacity { try rotate() }
        var rest = bytes
        var hasMadeRoom = false
        while !rest.isEmpty {
            do throws(Errno) {
                let count = try file.borrowed.writeSome(rest)
                rest = rest.dropFirst(count)
                byteCount += count
            } catch {
                guard error == .noSpace || error.rawValue == EDQUOT else { throw error }
                if unsafe olderPath.withPlatformString({ unsafe unlink($0) }) == 0 { continue }
                guard !hasMadeRoom else { throw error }
                hasMadeRoom = true
                try beginAnew()
                rest = rest.suffix(Self.reserve)
            }
        }
    }

    /// Continues at the start of the same file.
    private mutating func beginAnew() throws(Errno) {
        guard ftruncate(file.rawValue, 0) == 0 else { throw Errno(rawValue: errno) }
        _ = chost_reserve(file.rawValue, Self.reserve)
        byteCount = 0
    }

    private mutating func rotate() throws(Errno) {
        try path.rename(to: olderPath)
        file = try Self.create(path)
        byteCount = 0
    }
}
