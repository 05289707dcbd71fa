// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
package import SystemPackage

/// A monitor's hold of its machine's folder, for as long as the process lives.
package final class MachineTenure: Sendable {
    private let lock: FolderLock
    private let path: FilePath

    /// Takes over the lock that the starting command has handed on, and makes this process its owner.
    ///
    /// - Parameters:
    ///   - descriptor: The lock's descriptor, inherited.
    ///   - path: The machine's folder.
    /// - Throws: `RegistryError` where the descriptor is none, or another process is the owner.
    package init(lock descriptor: CInt, folder path: FilePath) throws(RegistryError) {
        guard fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 else {
            throw RegistryError("the inherited lock: \(Errno(rawValue: errno))")
        }
        self.path = path
        lock = FolderLock(adopting: OwnedDescriptor(adopting: descriptor))
        guard lock.isNamed(path.appending(MachineFolder.Item.lock.rawValue)), lock.becomeOwner() else {
            throw RegistryError("the lock of \(path) cannot be taken")
        }
        // The lock of a process ends when the process closes any descriptor of the file: this one never is.
        _ = unsafe Unmanaged.passRetained(lock)
    }

    /// Removes the folder, as the last thing that the monitor does; what another process has put there meanwhile stays.
    package func removeFolder() throws(RegistryError) {
        guard lock.isNamed(path.appending(MachineFolder.Item.lock.rawValue)) else { return }
        try MachineFolder.bury(path)
    }
}
