// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
package import SystemPackage

/// The hold that a machine's process has of its folder, for as long as the process lives.
package final class MachineTenure: Sendable {
    private let lock: FolderLock
    private let path: FilePath

    /// Makes this process the owner of a lock.
    private init(_ lock: FolderLock, _ path: FilePath) throws(RegistryError) {
        guard lock.isNamed(path.appending(MachineFolder.Item.lock.rawValue)), lock.becomeOwner() else {
            throw RegistryError("the lock of \(path) cannot be taken")
        }
        (self.lock, self.path) = (lock, path)
        // The lock of a process ends when the process closes any descriptor of the file: this one never is.
        _ = unsafe Unmanaged.passRetained(lock)
    }

    /// Keeps a folder that this process has made.
    ///
    /// - Throws: `RegistryError` where another process is the owner.
    convenience init(_ hold: MachineFolder.Hold, folder path: FilePath) throws(RegistryError) {
        try self.init(hold.lock, path)
        _ = unsafe Unmanaged.passRetained(hold.folder)
    }

    /// Takes over the lock that the starting command has handed on.
    ///
    /// - Parameters:
    ///   - descriptor: The lock's descriptor, inherited.
    ///   - path: The machine's folder.
    /// - Throws: `RegistryError` where the descriptor is none, or another process is the owner.
    package convenience init(lock descriptor: CInt, folder path: FilePath) throws(RegistryError) {
        guard fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 else {
            throw RegistryError("the inherited lock: \(Errno(rawValue: errno))")
        }
        try self.init(FolderLock(adopting: OwnedDescriptor(adopting: descriptor)), path)
    }

    /// Removes the folder, as the last thing that the monitor does; what another process has put there meanwhile stays.
    package func removeFolder() throws(RegistryError) {
        guard lock.isNamed(path.appending(MachineFolder.Item.lock.rawValue)) else { return }
        try MachineFolder.bury(path)
    }
}
