// SPDX-License-Identifier: Apache-2.0

import Glibc
package import Host
import JSON
import Storage
import SystemPackage

extension MachineFolder {
    /// Removes the folder of a machine whose monitor does not live; one that is gone already needs no more.
    ///
    /// - Parameter limit: The end of a wait for another process that removes it.
    /// - Throws: `RegistryError` where the monitor lives, or this is not a machine's folder.
    package func remove(until limit: TimeLimit = .after(.seconds(2))) throws(RegistryError) {
        guard isThere else { return }
        let machine = try open()
        guard !machine.isAlive else { throw RegistryError("machine '\(name)' runs: stop it first, or use --force") }
        removeSocketElsewhere(of: machine)
        // A folder without a lock has none that another command could wait for: the last rename wins.
        if let lock = machine.lock { guard try lock.takeForRemoval(at: path(.lock), until: limit) else { return } }
        try Self.bury(path)
    }

    /// Removes the folder of a machine whose lock the caller has.
    ///
    /// Under another name first, so that nobody sees half of it.
    static func bury(_ path: FilePath) throws(RegistryError) {
        for name in (try? FolderListing.names(in: path.hostText)) ?? []
        where isFullFolder(path.pushing(FilePath(hostText: name))) {
            throw RegistryError(
                "\(path.pushing(FilePath(hostText: name))) is a folder that is not Martlet's; remove it by hand"
            )
        }
        let grave = path.parent.hidden("old")
        do throws(Errno) { try path.rename(to: grave) } catch {
            throw RegistryError("cannot remove \(path): \(error)")
        }
        removeAll(grave)
    }

    /// Removes the sockets of a killed monitor.
    package func removeStaleSockets() {
        guard let machine = try? open(), let lock = machine.lock, !lock.isTaken,
            (try? lock.takeForRemoval(at: path(.lock), until: .after(.zero))) == true
        else { return }
        for socket in [Item.apiSocket, .vsock] { path(socket).removeFile() }
        removeSocketElsewhere(of: machine)
    }

    /// Removes the vsock's socket that the user wanted in another folder, where the monitor's sandbox kept it from that.
    private func removeSocketElsewhere(of machine: OpenMachine) {
        // Another user, whom the machine's process became, may have written another description.
        guard machine.status(of: .configuration)?.userID.rawValue == geteuid(),
            let socket = machine.value(of: .configuration)["vsock"]["uds_path"].string
        else { return }
        UnixSocket.removeStaleFile(at: FilePath(hostText: socket))
    }

    /// Removes a folder and the files in it, whatever they are; folders in it only where they are empty.
    static func removeAll(_ folder: FilePath) {
        for name in (try? FolderListing.names(in: folder.hostText)) ?? [] {
            unsafe folder.pushing(FilePath(hostText: name)).withPlatformString { path in
                if unsafe unlink(path) != 0 { _ = unsafe rmdir(path) }
            }
        }
        _ = unsafe folder.withPlatformString { unsafe rmdir($0) }
    }

    private static func isFullFolder(_ path: FilePath) -> Bool {
        (try? path.stat(followTargetSymlink: false))?.type == .directory
            && (try? FolderListing.names(in: path.hostText))?.isEmpty != true
    }
}

extension FilePath {
    /// A path in this folder for a folder that does not belong to a machine yet, or no longer does.
    ///
    /// - Parameter purpose: `new` or `old`.
    /// - Returns: A path that nothing has.
    func hidden(_ purpose: String) -> FilePath {
        appending(".\(purpose)-\(String(UInt64.random(in: .min ... .max), radix: 16))")
    }
}
