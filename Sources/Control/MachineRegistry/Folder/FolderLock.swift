// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
package import SystemPackage

/// The lock of a machine's folder: held for as long as any process has this descriptor.
///
/// These are locks of open files (F_OFD_SETLK in fcntl(2)), because to ask for one takes nothing: commands that only look
/// do not get in each other's way, or in the way of one that removes the folder.
package final class FolderLock: Sendable {
    /// What is locked: a byte of the file each.
    private enum Part: off_t {
        /// Held by the monitor for its whole life, and never again.
        case life
        /// Held for a moment by whoever removes something of a machine that has ended.
        case removal
    }

    // From <fcntl.h>, where they are behind _GNU_SOURCE.
    private static let ask: CInt = 36
    private static let take: CInt = 37
    private static let waitAndTake: CInt = 38

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

    /// Whether a monitor lives.
    var isTaken: Bool {
        guard let found = lock(.life, F_WRLCK, by: Self.ask) else { return true }
        return found.l_type != Int16(F_UNLCK)
    }

    /// Takes the lock for a monitor.
    ///
    /// - Returns: False where another process holds it.
    func take() -> Bool {
        lock(.life, F_WRLCK, by: Self.take) != nil
    }

    /// Gives the lock back, for every process that has this descriptor.
    func release() {
        _ = lock(.life, F_UNLCK, by: Self.take)
    }

    /// Waits until nobody else removes anything, which is a matter of moments.
    ///
    /// - Parameter path: Where the lock was opened.
    /// - Returns: Whether it is still there, and its machine has ended: then it stays so until this is gone.
    func takeForRemoval(at path: FilePath) -> Bool {
        while lock(.removal, F_WRLCK, by: Self.waitAndTake) == nil { guard errno == EINTR else { return false } }
        var (opened, named) = (stat(), stat())
        guard unsafe fstat(owned.rawValue, &opened) == 0,
            unsafe path.withPlatformString({ unsafe lstat($0, &named) }) == 0
        else { return false }
        return opened.st_ino == named.st_ino && opened.st_dev == named.st_dev && !isTaken
    }

    /// - Returns: The lock, or the one in its way; nil for an error.
    private func lock(_ part: Part, _ type: CInt, by command: CInt) -> flock? {
        var lock = flock(l_type: Int16(type), l_whence: Int16(SEEK_SET), l_start: part.rawValue, l_len: 1, l_pid: 0)
        return unsafe fcntl(owned.rawValue, command, &lock) == 0 ? lock : nil
    }
}
