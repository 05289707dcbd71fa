// SPDX-License-Identifier: Apache-2.0

import Glibc
import HostEvents
package import SystemPackage

/// The lock of a machine's folder: held for as long as any process has this open file description (fcntl(2), OFD locks).
package final class FolderLock: Sendable {
    private let owned: OwnedDescriptor

    convenience init(creating path: FilePath) throws(Errno) {
        try self.init(path, O_RDWR | O_CREAT | O_EXCL)
    }

    convenience init(opening path: FilePath) throws(Errno) {
        try self.init(path, O_RDWR)
    }

    private init(_ path: FilePath, _ flags: CInt) throws(Errno) {
        let raw = unsafe path.withPlatformString { unsafe open($0, flags | O_CLOEXEC | O_NOFOLLOW, 0o600) }
        guard raw >= 0 else { throw Errno(rawValue: errno) }
        owned = OwnedDescriptor(adopting: raw)
    }

    /// To be inherited by the monitor.
    package var descriptor: FileDescriptor { owned.borrowed }

    /// Whether another process holds the lock; to ask takes it from nobody, not even for a moment.
    var isTaken: Bool {
        var lock = Self.lock(F_WRLCK)
        guard unsafe fcntl(owned.rawValue, Self.queryCommand, &lock) == 0 else { return true }
        return CInt(lock.l_type) != F_UNLCK
    }

    /// Gives the lock back, for every process that has this descriptor.
    func release() {
        var lock = Self.lock(F_UNLCK)
        _ = unsafe fcntl(owned.rawValue, Self.setCommand, &lock)
    }

    /// Takes the lock.
    ///
    /// - Returns: False where another process holds it.
    func take() -> Bool {
        var lock = Self.lock(F_WRLCK)
        return unsafe fcntl(owned.rawValue, Self.setCommand, &lock) == 0
    }

    /// `F_OFD_GETLK` and `F_OFD_SETLK` of <fcntl.h>, which Swift's Glibc does not show.
    private static let queryCommand: CInt = 36
    private static let setCommand: CInt = 37

    /// All of the file.
    private static func lock(_ type: CInt) -> flock {
        var lock = flock()
        lock.l_type = CShort(type)
        lock.l_whence = CShort(SEEK_SET)
        return lock
    }
}
