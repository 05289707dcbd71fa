// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
package import SystemPackage

/// The lock of a machine's folder: held for as long as any process has this descriptor.
///
/// `life` and `removal` are locks of open files (F_OFD_SETLK in fcntl(2)), which a starting command hands on to the monitor,
/// and to ask for one takes nothing: commands that only look do not get in each other's way. `owner` is a lock of a process
/// (F_SETLK): the kernel tells which process holds it, at this moment, and drops it with that process.
package final class FolderLock: Sendable {
    /// The locks: a byte of the file each.
    private enum Part: off_t {
        /// Held by the monitor for its whole life, and never again.
        case life
        /// Held for a moment by a command that removes something of a machine that has ended.
        case removal
        /// Held by the monitor itself.
        case owner
    }

    /// The process that a machine's monitor is.
    enum Owner: Equatable {
        /// The monitor is about to start, or some other process holds the lock.
        case nobody
        /// A process of another PID namespace.
        case hidden
        case process(pid_t)
    }

    // From <fcntl.h>, where they are behind _GNU_SOURCE.
    private static let (ask, take): (CInt, CInt) = (36, 37)

    private let owned: OwnedDescriptor

    init(creating path: FilePath) throws(Errno) {
        owned = try OwnedDescriptor(opening: path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW)
    }

    /// Takes over a descriptor of the lock's file.
    init(adopting descriptor: consuming OwnedDescriptor) {
        owned = descriptor
    }

    /// To be inherited by the monitor.
    package var descriptor: FileDescriptor { owned.borrowed }

    /// Indicates whether a monitor lives.
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

    /// Releases the lock, for every process that has this descriptor.
    func release() {
        _ = lock(.life, F_UNLCK, by: Self.take)
    }

    // MARK: - The monitor's process

    /// The process that is the monitor, as the kernel knows it now.
    var owner: Owner {
        guard let found = lock(.owner, F_WRLCK, by: Self.ask), found.l_type != Int16(F_UNLCK) else { return .nobody }
        return found.l_pid > 0 ? .process(found.l_pid) : .hidden
    }

    /// Makes this process the monitor, until it ends or closes any descriptor of the lock's file.
    ///
    /// - Returns: False where another process is.
    func becomeOwner() -> Bool {
        lock(.owner, F_WRLCK, by: F_SETLK) != nil
    }

    // MARK: - Removal

    /// Waits until nobody else removes anything, which is a matter of moments.
    ///
    /// - Parameters:
    ///   - path: The path by which the lock was opened.
    ///   - limit: The end of the wait.
    /// - Returns: Whether the lock is still there, and its machine has ended: then it stays so until this is gone.
    /// - Throws: `RegistryError` where another process does not come to an end.
    func takeForRemoval(at path: FilePath, until limit: TimeLimit) throws(RegistryError) -> Bool {
        while lock(.removal, F_WRLCK, by: Self.take) == nil {
            guard !limit.hasPassed else {
                throw RegistryError("another process is about to remove the folder of \(path)")
            }
            usleep(10_000)
        }
        return isNamed(path) && !isTaken
    }

    /// Returns whether `path` names the file of this lock.
    func isNamed(_ path: FilePath) -> Bool {
        guard let opened = try? owned.borrowed.stat() else { return false }
        return (try? path.stat(followTargetSymlink: false))?.isSameFile(as: opened) == true
    }

    /// - Returns: The lock, or the one in its way; nil for an error.
    private func lock(_ part: Part, _ type: CInt, by command: CInt) -> flock? {
        var lock = flock(l_type: Int16(type), l_whence: Int16(SEEK_SET), l_start: part.rawValue, l_len: 1, l_pid: 0)
        return unsafe fcntl(owned.rawValue, command, &lock) == 0 ? lock : nil
    }
}
