// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
import Host
import JSON
import MachineAPI
package import MachineModel
package import SystemPackage

/// The folder of one machine: its socket, its lock, its logs and its result.
///
/// The monitor holds the lock for as long as it lives, however it ends: so nobody need trust a process id.
package struct MachineFolder: Hashable, Sendable {
    /// The files of the folder.
    package enum Item: String, CaseIterable {
        case lock = "lock"
        case apiSocket = "api.sock"
        /// Leads to ports of the guest.
        case vsock = "vsock.sock"
        case configuration = "config.json"
        /// The guest's output to its console; earlier output is in `olderConsoleLog`.
        case consoleLog = "console.log"
        case olderConsoleLog = "console.log.1"
        /// The monitor's own messages.
        case monitorLog = "monitor.log"
        /// The machine's end.
        case result = "result.json"
        /// Says that the folder goes when the machine has ended.
        case removal = "remove-at-end"
    }

    package let name: MachineName
    package let path: FilePath

    init(name: MachineName, in folder: FilePath) {
        self.name = name
        path = folder.appending(name.text)
    }

    package func path(_ item: Item) -> FilePath { Self.path(item, in: path) }

    package static func path(_ item: Item, in folder: FilePath) -> FilePath { folder.appending(item.rawValue) }

    /// Indicates whether there is something with this name, be it a machine that has ended.
    package var isThere: Bool { (try? path.stat(followTargetSymlink: false)) != nil }

    /// Indicates whether its monitor lives.
    package var isAlive: Bool {
        (try? open())?.isAlive ?? false
    }

    /// Opens the machine, to follow it even if its folder is removed.
    package func open() throws(RegistryError) -> OpenMachine {
        do throws(FileFault) {
            return OpenMachine(self, try OpenFolder(path))
        } catch {
            guard error != .missing else { throw RegistryError("there is no machine '\(name)' any more") }
            throw RegistryError("\(path) \(error): it is not a machine's folder; remove it by hand")
        }
    }

    /// Gives the folder to the user that the machine's process becomes; what is in it stays.
    ///
    /// `isReached` tells whether the process can reach it whatever the folders above allow.
    func give(to user: HostUser, isReached: Bool) throws(RegistryError) {
        guard unsafe path.withPlatformString({ unsafe lchown($0, user.userID, user.groupID) }) == 0 else {
            throw RegistryError(cannot: "give \(path) to the user \(user.userID)", Errno(rawValue: errno))
        }
        guard !isReached else { return }
        // The machines of all are here: their folders stay closed to each other.
        let runtime = path.parent
        _ = unsafe runtime.withPlatformString { unsafe chmod($0, 0o711) }
        var above = runtime
        while !above.isEmpty, above != "/" {
            guard (try? above.stat())?.permissions.contains(.otherExecute) == true else {
                throw RegistryError(
                    """
                    the user \(user.userID) cannot come to the machine's folder, for want of a right to enter \(above): have \
                    MARTLET_RUNTIME_DIR name a folder below others that everybody may enter, or add --jail
                    """
                )
            }
            above.removeLastComponent()
        }
    }

    /// Writes the description of a machine, which outlives it but not the host's boot.
    package static func save(_ configuration: MachineConfiguration, in path: FilePath) throws(RegistryError) {
        let path = Self.path(.configuration, in: path)
        do throws(Errno) {
            let file = try DraftFile(in: path.parent)
            try file.descriptor.write(all: (configuration.json.prettyText + "\n").utf8)
            try file.publish(as: path, isDurable: false)
        } catch {
            throw RegistryError(cannot: "write \(path)", error)
        }
    }

    // MARK: - Life

    /// The locks and the socket of a new machine, which its process keeps open until it ends.
    struct Hold {
        let lock: FolderLock
        /// The folder itself, which nothing may clean up as long as it is open: systemd-tmpfiles leaves a folder alone that
        /// somebody has locked by flock(2).
        let folder: OpenFolder
        /// The socket of the folder, on which the process answers as soon as it runs.
        let listener: UnixSocket
    }

    /// Makes the file of the process's own messages, with room for some: they are needed most where there is none.
    func makeLog() throws(Errno) -> OwnedDescriptor {
        let log = try OwnedDescriptor(opening: path(.monitorLog), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW)
        if chost_reserve(log.rawValue, 16 << 10) == -ENOSPC { throw Errno.noSpace }
        return log
    }

    /// Makes the folder of a new machine, takes its locks and listens at its socket.
    ///
    /// - Parameters:
    ///   - name: The machine's name.
    ///   - folder: The folder of machines.
    ///   - isRemovedAtEnd: Whether the folder goes when the machine has ended.
    /// - Returns: The folder, and what is handed on to the monitor.
    /// - Throws: `RegistryError` where there is such a machine already.
    static func make(
        _ name: MachineName,
        in folder: RuntimeFolder,
        isRemovedAtEnd: Bool
    ) throws(RegistryError) -> (MachineFolder, Hold) {
        let machine = MachineFolder(name: name, in: folder.path)
        // Made under another name and then moved: a folder that has a name has a lock that is taken and a socket that listens.
        let busy = try folder.keepSweepersAway()
        // Not only closed: a process that another thread is about to start has a copy of the descriptor.
        defer { flock(busy.descriptor.rawValue, LOCK_UN) }
        let draft = folder.path.hidden("new")
        guard unsafe draft.withPlatformString({ unsafe mkdir($0, 0o700) == 0 && chmod($0, 0o700) == 0 }) else {
            throw RegistryError(cannot: "make \(draft)", Errno(rawValue: errno))
        }
        var isDone = false
        defer { if !isDone { removeAll(draft) } }
        let hold: Hold
        do {
            hold = Hold(
                lock: try FolderLock(creating: draft.appending(Item.lock.rawValue)),
                folder: try OpenFolder(draft),
                listener: try UnixSocket.listen(at: path(.apiSocket, in: draft))
            )
        } catch {
            throw RegistryError("cannot make a lock and a socket in \(draft): \(error)")
        }
        _ = hold.lock.take()
        _ = flock(hold.folder.descriptor.rawValue, LOCK_EX | LOCK_NB)
        // The files for the machine's end exist from the start.
        for item in [Item.result] + (isRemovedAtEnd ? [.removal] : []) {
            let file = draft.appending(item.rawValue)
            do throws(Errno) {
                _ = try OwnedDescriptor(opening: file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW)
            } catch {
                throw RegistryError(cannot: "make a file in \(draft)", error)
            }
        }
        // Fails where there is a folder that is not empty, and there is none that is.
        do throws(Errno) {
            try draft.rename(to: machine.path)
        } catch {
            switch error.rawValue {
            case EEXIST, ENOTEMPTY: break
            case ENOTDIR:
                throw RegistryError("\(machine.path) exists and is not a machine's folder; remove it by hand")
            default: throw RegistryError(cannot: "make \(machine.path)", error)
            }
            throw RegistryError(
                machine.isAlive
                    ? "there is a machine '\(name)' already"
                    : "there is a machine '\(name)' already, which has ended: `martlet rm \(name)` removes it"
            )
        }
        isDone = true
        return (machine, hold)
    }
}
