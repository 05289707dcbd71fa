// SPDX-License-Identifier: Apache-2.0

import Glibc
import HostEvents
package import SystemPackage

/// The lock of a machine's folder (flock(2)): held for as long as any process has this descriptor.
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

    /// Whether a monitor holds the lock; who only asks does not get in each other's way.
    var isTaken: Bool {
        guard flock(owned.rawValue, LOCK_SH | LOCK_NB) == 0 else { return true }
        flock(owned.rawValue, LOCK_UN)
        return false
    }

    /// Gives the lock back, for every process that has this descriptor.
    func release() {
        flock(owned.rawValue, LOCK_UN)
    }

    /// Takes the lock.
    ///
    /// - Returns: False where another process holds it.
    func take() -> Bool {
        flock(owned.rawValue, LOCK_EX | LOCK_NB) == 0
    }
}
